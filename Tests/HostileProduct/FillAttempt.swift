import Foundations
import Glibc

/// Takes all the room of the volume that its state lies in, and all of its files.
enum FillAttempt {
  static func run() -> [String] {
    // The state folder is one of the arguments that the supervisor gave: the one with an owner in it.
    guard let folder = CommandLine.arguments.first(where: { (try? AtomicFile.read($0 + "/owner.json", maximum_bytes: 1 << 16)) != nil }) else {
      return ["fill: no state folder"]
    }
    let file = open(folder + "/fill", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    var taken = 0
    for size in [1 << 20, 4_096, 1] {
      let piece = [UInt8](repeating: 0x5a, count: size)
      while true {
        let count = write(file, piece, size)
        guard count > 0 else { break }
        taken += count
      }
    }
    let full = errno
    close(file)
    var files = 0
    while true {
      let number = open("\(folder)/fill-\(files)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard number >= 0 else { break }
      close(number)
      files += 1
    }
    return ["fill: \(taken >> 20) MiB, then \(systemErrorMessage(full)); \(files) files, then \(systemErrorMessage(errno))"]
  }
}
