import BoardAPI
import Foundations
import Glibc
import Testing

@testable import VirtualBoard

@Suite struct FolderGpioTests {
  let folder = TemporaryFolder()
  /// How long an event may take on a busy machine.
  private static let patience_ms: CInt = 60_000

  /// The climate node's lines, opened in the folder.
  private func opened(debounce_us: UInt32 = 5_000) throws -> FolderGpio {
    let gpio = FolderGpio(folder: folder.path)
    try gpio.open([
      LineDescription(name: "relay", role: .output(safe: false)),
      LineDescription(name: "valve", role: .output(safe: true)),
      LineDescription(name: "button", role: .input(debounce_us: debounce_us)),
    ])
    return gpio
  }

  /// Waits on the descriptors as the supervisor does, until `count` events came or a minute passed without one.
  private func events(_ gpio: FolderGpio, count: Int) throws -> [LineEvent] {
    var taken: [LineEvent] = []
    while taken.count < count {
      var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      guard poll(&waiting, nfds_t(waiting.count), Self.patience_ms) > 0 else { break }
      taken += try gpio.takeEvents()
    }
    return taken
  }

  @Test func outputsStartSafeAndAreMirrored() throws {
    let gpio = try opened()
    #expect(folder.read("relay") == "0\n")
    #expect(folder.read("valve") == "1\n")
    try gpio.set("relay", to: true)
    #expect(folder.read("relay") == "1\n")
    #expect(try gpio.value(of: "relay"))
    try gpio.set("valve", to: false)
    #expect(gpio.driveSafe() == [])
    #expect(folder.read("relay") == "0\n")
    #expect(folder.read("valve") == "1\n")
  }

  @Test func aPressIsOneEvent() throws {
    let gpio = try opened()
    let before_us = BootClock.now_us()
    folder.write("1\n", to: "button")
    let events = try events(gpio, count: 1)
    #expect(events.map(\.name) == ["button"])
    #expect(events.map(\.value) == [true])
    #expect(events[0].at_us >= before_us + 5_000)
    #expect(try gpio.value(of: "button"))
    folder.write("0", to: "button")
    #expect(try self.events(gpio, count: 1).map(\.value) == [false])
  }

  /// Runs `body` on lines that are debounced for so long that all it writes falls into that time; once more where a busy machine took longer, as then
  /// events are due in between.
  private func withinDebouncing(_ body: (FolderGpio) throws -> [[LineEvent]]) throws -> FolderGpio {
    let debounce_us: UInt32 = 400_000
    for _ in 0..<100 {
      let gpio = try opened(debounce_us: debounce_us)
      let began_us = BootClock.now_us()
      let taken = try body(gpio)
      guard BootClock.now_us() - began_us < UInt64(debounce_us) else { continue }
      #expect(taken.allSatisfy { $0.isEmpty })
      return gpio
    }
    throw Slow()
  }
  private struct Slow: Error {}

  /// A contact that bounces back and forth and comes to rest pressed is one press.
  @Test func bouncesAreOneEvent() throws {
    let gpio = try withinDebouncing { gpio in
      var taken: [[LineEvent]] = []
      for _ in 0..<10 {
        for value in ["1", "0"] {
          folder.write(value, to: "button")
          taken.append(try gpio.takeEvents())
        }
      }
      folder.write("1", to: "button")
      return taken
    }
    #expect(try events(gpio, count: 1).map(\.value) == [true])
    #expect(try gpio.takeEvents() == [])
  }

  /// A pulse shorter than the debounce time is no event at all.
  @Test func aGlitchIsNoEvent() throws {
    let gpio = try withinDebouncing { gpio in
      var taken: [[LineEvent]] = []
      for value in ["1", "0"] {
        folder.write(value, to: "button")
        taken.append(try gpio.takeEvents())
      }
      return taken
    }
    var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    // Nothing is pending, so nothing becomes readable, however long one waits.
    #expect(poll(&waiting, nfds_t(waiting.count), 600) == 0)
    #expect(try gpio.value(of: "button") == false)
  }

  @Test func replacingTheFileCountsToo() throws {
    let gpio = try opened()
    folder.write("1\n", to: ".by-an-editor")
    #expect(rename(folder.path + "/.by-an-editor", folder.path + "/button") == 0)
    #expect(try events(gpio, count: 1).map(\.value) == [true])
  }

  @Test(arguments: ["", "2", "on", "1\n1", "10", "\n"])
  func anythingElseIsRefused(text: String) throws {
    let gpio = try opened()
    folder.write(text, to: "button")
    let error = #expect(throws: BoardError.self) {
      while true {
        var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&waiting, nfds_t(waiting.count), Self.patience_ms) > 0 else { return }
        _ = try gpio.takeEvents()
      }
    }
    #expect(error?.code == "invalid-value")
    #expect(error?.reason.contains(folder.path + "/button") == true)
    #expect(try gpio.value(of: "button") == false)
    folder.write("1", to: "button")
    #expect(try events(gpio, count: 1).map(\.value) == [true])
  }

  @Test func unknownLinesAreRefused() throws {
    let gpio = try opened()
    #expect(throws: BoardError.self) { try gpio.set("button", to: true) }
    #expect(throws: BoardError.self) { try gpio.set("pump", to: true) }
    #expect(throws: BoardError.self) { try gpio.value(of: "pump") }
    #expect(throws: BoardError.self) { try gpio.open([]) }
  }

  @Test(arguments: ["", "..", "a/b", ".hidden", "line\n", String(repeating: "n", count: 32)])
  func aLineNameIsAFileName(name: String) {
    let gpio = FolderGpio(folder: folder.path)
    #expect(throws: BoardError.self) { try gpio.open([LineDescription(name: name, role: .output(safe: false))]) }
  }

  @Test func atMost64EventsACall() throws {
    let gpio = FolderGpio(folder: folder.path)
    let names = (0..<100).map { "input-\($0)" }
    try gpio.open(names.map { LineDescription(name: $0, role: .input(debounce_us: 1)) })
    for name in names { folder.write("1", to: name) }
    var taken: [LineEvent] = []
    while taken.count < names.count {
      var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      guard poll(&waiting, nfds_t(waiting.count), Self.patience_ms) > 0 else { break }
      let events = try gpio.takeEvents()
      #expect(events.count <= 64)
      taken += events
    }
    #expect(Set(taken.map(\.name)) == Set(names))
    #expect(taken.count == names.count)
  }

  @Test func inotifyEventsAreParsedTotally() {
    //                     wd        mask      cookie    length    name "button", padded
    let event: [UInt8] = [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0] + Array("button".utf8) + [0, 0]
    #expect(InotifyEvents.names(in: event + event) == ["button", "button"])
    #expect(InotifyEvents.names(in: []) == [])
    for length in 1..<event.count { #expect(InotifyEvents.names(in: event.prefix(length)) == nil) }
    // IN_Q_OVERFLOW is 0x4000.
    #expect(InotifyEvents.names(in: [255, 255, 255, 255, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) == nil)
    // A length that reaches past the end.
    #expect(InotifyEvents.names(in: [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]) == nil)
  }
}
