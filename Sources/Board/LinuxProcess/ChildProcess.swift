internal import CHaechi
public import Foundations
internal import Glibc

/// How a process ended.
public enum ProcessEnd: Sendable, Equatable {
  case exited(code: Int32)
  case killed(signal: Int32)
}

/// Children of this process, and for PID 1 every orphan.
public enum ChildProcess {
  /// Starts this process's own image anew, with a fresh memory layout and nothing of this one's memory.
  ///
  /// - Parameters:
  ///   - arguments: `argv`, the first being the name that process lists show.
  ///   - handed: the descriptors that it gets as 3, 4 …; nil leaves that number closed. The caller still owns its own copies.
  ///   - keepsStandardError: false on a device's release image, where there is nothing to write to.
  /// - Returns: its process id.
  public static func startSelf(arguments: [String], handed: [CInt?], keepsStandardError: Bool) throws(SystemCallError) -> Int32 {
    // Swift's backtracer would execute a helper program on a crash, which the sandbox forbids: the runtime leaves its own record.
    let environment = ["SWIFT_BACKTRACE=enable=no", "PATH=/nonexistent"]
    let descriptors = handed.map { $0 ?? -1 }
    let result = withCStrings(arguments) { argv in
      withCStrings(environment) { envp in
        haechi_start_self(argv, envp, descriptors, CInt(clamping: descriptors.count), keepsStandardError ? 1 : 0)
      }
    }
    return try check(result, "fork", "for the runtime")
  }

  /// SIGKILL. A process that has ended already is no error.
  public static func kill(_ process: Int32) {
    // 0 and negative numbers would mean whole groups, or everything.
    guard process > 0 else { return }
    _ = Glibc.kill(process, SIGKILL)
  }

  /// Children that ended since the last call, at most 64 at once.
  public static func reap() -> [(process: Int32, end: ProcessEnd)] {
    var ended: [(process: Int32, end: ProcessEnd)] = []
    while ended.count < 64 {
      var status: CInt = 0
      let process = waitpid(-1, &status, WNOHANG)
      if process < 0, errno == EINTR { continue }
      guard process > 0 else { break }
      // The layout of a wait status: the low 7 bits are the signal, 0 where it exited; the next byte the exit code.
      let signal = status & 0x7f
      ended.append((process, signal == 0 ? .exited(code: status >> 8 & 0xff) : .killed(signal: signal)))
    }
    return ended
  }
}

/// Calls `body` with a C array of C strings that ends in NULL.
private func withCStrings<Result>(_ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
  let copies = texts.map { strdup($0) }
  defer { for copy in copies { free(copy) } }
  return (copies.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { buffer in
    // Never empty: it has its NULL.
    body(buffer.baseAddress.unsafelyUnwrapped)
  }
}
