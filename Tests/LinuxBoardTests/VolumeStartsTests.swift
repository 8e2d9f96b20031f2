import BoardAPI
import Testing

@testable import LinuxBoard

@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct VolumeStartsTests {
  let folder = StorageFolder()
  private var starts: VolumeStarts { VolumeStarts(folders: VolumeFolders(mount: folder.path, state: "", audit: "", supervisor: "")) }

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

  @Test(arguments: ["", "x", "-1", "99999999999999999999", "18446744073709551615", "9000000000"]) func aNumberThatIsNoneIsRefused(_ text: String) {
    folder.write(text, to: "starts")
    #expect(refusal(told: 1).hasPrefix("the partition data"))
  }
}
