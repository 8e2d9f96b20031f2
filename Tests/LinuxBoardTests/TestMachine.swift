import BoardAPI
import Foundations
import Glibc
import QemuVirt
import Testing

/// QEMU's `virt` machine, where these tests run as the only program beside a tiny init: hardware of their own, and root.
enum TestMachine {
  /// The init of the test image says so.
  static let isHere = getenv("HAECHI_BOARD_TESTS") != nil
  static let onHost: Comment = "runs on the host"
  static let whyNot: Comment = "needs a machine of its own: Tests/Device/board-tests boots one in QEMU"

  /// The board, after its early phases ran. Made by whichever test comes first; the suites that use it run one test at a time.
  nonisolated(unsafe) static let board: any Board = {
    let board = QemuVirt.makeBoard()
    // The shell would read and write the line that carries the results out.
    for phase in board.earlyPhases where phase.name != "rescue-shell" {
      do throws(BoardError) {
        try phase.run()
        outcomes[phase.name] = "done"
      } catch {
        outcomes[phase.name] = error.isSkip ? "skipped" : error.description
      }
    }
    return board
  }()

  /// How each phase went: `done`, `skipped`, or the error.
  nonisolated(unsafe) static var outcomes: [String: String] = [:]

  /// The options of what is mounted last at `target`, and its file system's name.
  static func mount(at target: String) -> (type: String, options: Set<String>)? {
    for line in kernelFile("/proc/self/mounts").split(separator: "\n").reversed() {
      let fields = line.split(separator: " ")
      guard fields.count >= 4, fields[1] == target else { continue }
      return (String(fields[2]), Set(fields[3].split(separator: ",").map(String.init)))
    }
    return nil
  }

  /// Writes a file of the kernel's.
  static func write(_ text: String, to path: String) throws {
    let number = open(path, O_WRONLY | O_CLOEXEC)
    guard number >= 0 else { throw SystemCallError("open", number: errno, subject: path) }
    let file = OwnedDescriptor(adopting: number)
    let bytes = Array(text.utf8)
    guard Glibc.write(file.number, bytes, bytes.count) == bytes.count else { throw SystemCallError("write", number: errno, subject: path) }
  }
}
