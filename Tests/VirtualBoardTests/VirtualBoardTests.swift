import BoardAPI
import Glibc
import Testing

@testable import VirtualBoard

@Suite struct VirtualBoardTests {
  let folder = TemporaryFolder()

  @Test func itsFolderIsMadeAndItsStateIsPrivate() throws {
    let board = VirtualBoard(folder: folder.path + "/device", logsToStandardError: false)
    for _ in 0..<2 {  // a second start finds what the first one made
      for phase in board.earlyPhases { try phase.run() }
    }
    var facts = stat()
    #expect(stat(board.runtimeStateFolder, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o700)
    try board.gpio.open(board.lines)
    #expect(folder.read("device/gpio/relay") == "0\n")
    #expect(folder.read("device/gpio/button") == "0\n")
  }

  @Test func aFolderThatCannotBeMadeIsNamed() {
    let board = VirtualBoard(folder: folder.path + "/missing/device", logsToStandardError: false)
    let error = #expect(throws: BoardError.self) { for phase in board.earlyPhases { try phase.run() } }
    #expect(error?.reason.contains("/missing/device: No such file or directory") == true)
  }

  @Test func itNeedsNothingOfTheMachine() throws {
    let board = VirtualBoard(folder: folder.path, logsToStandardError: false)
    #expect(board.watchdog == nil)
    #expect(board.runtimeUser == nil)
    #expect(board.console == nil)
    #expect(try board.network.takeCarrier())
    #expect(try board.network.makeDHCPSocket() == nil)
    #expect(try board.rootOfTrust.facts() == RootOfTrustFacts(kind: .none, manufacturer: "", secureBootState: []))
    let configuration = InterfaceConfiguration(address: 0x7f000001, prefixLength: 8, router: 0)
    #expect(throws: BoardError.self) { try board.network.apply(configuration) }
  }

  @Test func itsSensorsSayThatTheyAreSimulated() async throws {
    let sensors = VirtualBoard.makeSensors()
    #expect(sensors.quantities == [.temperature_C, .humidity_percent])
    for quantity in sensors.quantities { #expect(try await sensors.measure(quantity).isSimulated) }
  }
}
