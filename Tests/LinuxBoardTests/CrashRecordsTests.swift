import BoardAPI
import Glibc
import Testing

@testable import LinuxBoard

/// What a kernel that crashed left: told in one sentence, and removed. In a folder of this host's.
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost)) struct CrashRecordsTests {
  private let folder = StorageFolder()

  private func write(_ text: String, to name: String) {
    let file = open(folder.path + "/" + name, O_WRONLY | O_CREAT, 0o444)
    let bytes = Array(text.utf8)
    #expect(Glibc.write(file, bytes, bytes.count) == bytes.count)
    close(file)
  }

  @Test func eachSentenceIsToldOnceAndNothingIsLeft() throws {
    write("Panic#1 Part1\n<0>[   12.345678] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n<4>[ 12.3] CPU: 0", to: "dmesg-efi-2")
    write("Panic#1 Part2\n<1>[   12.345678] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n", to: "dmesg-efi-3")
    write("Oops#1 Part1\n<1>[    3.2] Unable to handle kernel NULL pointer dereference at virtual address 0\n", to: "dmesg-efi-1")
    #expect(
      try CrashRecords(folder: folder.path).take() == [
        "Unable to handle kernel NULL pointer dereference at virtual address 0",
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
      ])
    #expect(folder.names.isEmpty)
    #expect(try CrashRecords(folder: folder.path).take().isEmpty)
  }

  @Test func aRecordWithoutAKnownWordIsTold() throws {
    write("\u{0}\u{1}compressed", to: "dmesg-efi-1.enc.z")
    #expect(try CrashRecords(folder: folder.path).take() == ["it does not say why"])
    #expect(folder.names.isEmpty)
  }

  @Test func whatSteersATerminalAndWhatIsLongIsCut() {
    let long = "<0>\u{1b}[31mKernel panic - not syncing: \u{7}" + String(repeating: "x", count: 5_000)
    let sentence = CrashRecords.sentence(in: Array(long.utf8)) ?? ""
    #expect(sentence.utf8.count == 96 && sentence.hasPrefix("Kernel panic - not syncing: xxx"))
    #expect(CrashRecords.sentence(in: [0xff, 0xfe, 0x0a, 0x0a]) == nil)
  }

  @Test func aMachineWithoutAPlaceForThemHasNone() throws {
    #expect(try CrashRecords(folder: folder.path + "/none").take().isEmpty)
  }
}
