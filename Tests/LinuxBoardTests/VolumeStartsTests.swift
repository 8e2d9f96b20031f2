import BoardAPI
import Testing

@testable import LinuxBoard

@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct VolumeStartsTests {
  let folder = StorageFolder()
  private var starts: VolumeStarts { VolumeStarts(folders: VolumeFolders(mount: folder.path, state: "", audit: "", supervisor: "")) }
  private func file() throws -> BlockPartition { try BlockPartition(name: "starts", path: folder.path + "/starts") }

  private func refusal(told: UInt64) -> String {
    do {
      _ = try starts.next(told: told)
      return ""
    } catch {
      return error.code == "storage-damaged" ? error.reason : "another code: \(error.code)"
    }
  }

  @Test func eachStartIsOneMoreThanEitherHasCounted() throws {
    #expect(try starts.next(told: 0) == VolumeStarts.first)
    try starts.write(VolumeStarts.first)
    #expect(try starts.next(told: 1) == 2)
    // Cut off between the two, more than once: the volume is ahead, and neither number comes again.
    try starts.write(2)
    #expect(try starts.next(told: 1) == 3)
    try starts.write(3)
    #expect(try starts.next(told: 1) == 4)
  }

  @Test func aVolumeThatIsBehindIsAnOlderCopy() throws {
    #expect(refusal(told: 1).contains("does not say how often it was started"))
    try starts.write(4)
    #expect(refusal(told: 5) == "the partition data is an older copy: it was started 4 times, and the device 5 times")
    #expect(refusal(told: 4) == "")
  }

  /// The unit of encryption is a block, all of which a cut in its midst may cost.
  @Test func aCutInTheMidstOfANumberLeavesTheOneBefore() throws {
    for number: UInt64 in 1...6 {
      try starts.write(number)
      let place = number % 2 * 4_096
      let whole = try file().read(at: place, count: 4_096)
      for torn in [[UInt8](repeating: 0x5a, count: 4_096), [UInt8](repeating: 0, count: 4_096), whole.map { $0 ^ 1 }] {
        try file().write(torn, at: place)
        let before = number == 1 ? 1 : number - 1
        #expect(try starts.next(told: before) == before + 1)
      }
      try file().write(whole, at: place)
    }
  }

  @Test func itTakesNoRoomAfterTheFirst() throws {
    try starts.write(1)
    let size = try file().size_bytes
    for number: UInt64 in 2...9 { try starts.write(number) }
    #expect(try file().size_bytes == size && folder.names == ["starts"])
    #expect(try starts.next(told: 9) == 10)
  }

  @Test func aNumberThatIsNoneIsRefused() throws {
    for text in ["", "x", "HAECHI-STARTS-01"] {
      folder.write(text, to: "starts")
      #expect(refusal(told: 1).contains("does not say how often"))
    }
    try starts.write(.max)
    #expect(refusal(told: 1).contains("was changed"))
  }
}
