internal import CHaechi
public import Foundations
internal import Glibc

/// A short-lived child that does one job and hands back a few bytes: forked without exec, so it costs no start-up.
///
/// What can block, abort or start threads (a TPM, a disk library) is called in one, never in PID 1. Its owner kills it at its deadline.
public final class Worker {
  /// The most bytes of a result: a pipe takes 64 KiB without a reader (pipe(7)), and a worker that finds less room fails.
  public static let maximumResultBytes = 16 * 1024

  /// What a worker keeps, where this process has it.
  public enum Rights: Sendable {
    case none
    /// This process's network, and CAP_NET_ADMIN: for the job that configures it.
    case network
    /// What disks and mounts take (`haechi_keep_storage_capabilities`); no network.
    case storage
  }

  public let process: Int32
  private let pipe: CInt

  /// Starts `job` in a child. The child has no network and no capabilities and cannot gain any, holds no descriptor of this
  /// process, and dies with it. Root stays root in it, which is what owns device nodes.
  ///
  /// - Parameter rights: what the child keeps all the same.
  public init(rights: Rights = .none, _ job: () -> [UInt8]) throws(SystemCallError) {
    var ends: [CInt] = [-1, -1]
    try check(haechi_pipe(&ends), "pipe2", "for a worker")
    let parent = getpid()
    let child = haechi_fork()
    if child == 0 { Self.run(job, rights: rights, output: ends[1], parent: parent) }
    let error = errno
    Glibc.close(ends[1])
    guard child > 0 else {
      Glibc.close(ends[0])
      throw SystemCallError("fork", number: error, subject: "for a worker")
    }
    process = child
    pipe = ends[0]
  }

  deinit { close(pipe) }

  /// What the job wrote, to be asked for once it has ended; empty where it wrote nothing.
  public func takeResult() -> [UInt8] {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: Self.maximumResultBytes)
    while result.count < Self.maximumResultBytes {
      let count = read(pipe, &buffer, Self.maximumResultBytes - result.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      result += buffer.prefix(count)
    }
    return result
  }

  public func kill() { ChildProcess.kill(process) }

  /// The child's whole life.
  private static func run(_ job: () -> [UInt8], rights: Rights, output: CInt, parent: Int32) -> Never {
    // 70 (EX_SOFTWARE) tells the supervisor that the job was not even begun.
    guard haechi_worker_prologue(output, parent) == 0 else { _exit(70) }
    // Name spaces of networks may be missing from a kernel and need root: the capabilities that a network needs go in any case.
    if rights != .network { _ = haechi_leave_network() }
    let dropped =
      switch rights {
      case .none: haechi_drop_capabilities()
      case .network: haechi_keep_network_capability()
      case .storage: haechi_keep_storage_capabilities()
      }
    guard dropped == 0, haechi_harden_process(parent) == 0 else { _exit(70) }
    let result = job().prefix(maximumResultBytes)
    let written = Array(result).withUnsafeBytes { write(Descriptors.link, $0.baseAddress, $0.count) }
    _exit(written == result.count ? 0 : 74)  // EX_IOERR
  }
}
