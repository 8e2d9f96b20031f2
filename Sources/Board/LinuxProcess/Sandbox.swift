internal import CHaechi
public import Foundations
internal import Glibc

/// What a runtime keeps; everything else is taken from it for good.
public struct SandboxPolicy: Sendable {
  /// Whom it becomes; nil where it stays who it is (a development host).
  public var user: (uid: UInt32, gid: UInt32)?
  /// Folders in which it may keep plain files.
  public var writableFolders: [String]
  /// Files and folders that it may read.
  public var readablePaths: [String]
  /// TCP ports that it may listen on; 0 stands for a port that the kernel chooses.
  public var listenPorts: [UInt16]
  /// TCP ports that it may connect to.
  public var connectPorts: [UInt16]
  /// Threads of its user at the most; nil where other processes of the same user count too (a development host).
  public var maximumThreads: UInt64?
  /// True on a device: what the kernel lacks is an error, and not a note.
  public var isStrict: Bool

  public init(
    user: (uid: UInt32, gid: UInt32)?, writableFolders: [String], readablePaths: [String], listenPorts: [UInt16],
    connectPorts: [UInt16] = [], maximumThreads: UInt64?, isStrict: Bool
  ) {
    self.user = user
    self.writableFolders = writableFolders
    self.readablePaths = readablePaths
    self.listenPorts = listenPorts
    self.connectPorts = connectPorts
    self.maximumThreads = maximumThreads
    self.isStrict = isStrict
  }
}

/// The sandbox could not be closed: the runtime must not serve.
public struct SandboxError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  init(_ code: String, _ reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}

public enum Sandbox {
  /// Descriptors that a runtime may have open: 64 connections, their streams, event loops and files, four times over.
  static let maximumDescriptors: UInt64 = 512

  /// Gives up everything that `policy` does not keep. To be called before the first thread is made.
  ///
  /// - Parameter supervisor: the process id of the parent, with which this process shall end.
  /// - Returns: sentences on what the kernel of a development host lacks; always empty where `policy.isStrict`.
  /// - Throws: `SandboxError` where a step failed: the process must end then.
  public static func enter(_ policy: SandboxPolicy, supervisor: Int32) throws(SandboxError) -> [String] {
    do throws(SystemCallError) {
      return try enterUnclassified(policy, supervisor)
    } catch {
      throw SandboxError("sandbox-not-closed", "the runtime could not give up its rights and does not start", cause: error)
    }
  }

  private static func enterUnclassified(_ policy: SandboxPolicy, _ supervisor: Int32) throws(SystemCallError) -> [String] {
    var notes: [String] = []
    // A thread made before would keep its rights: user, capabilities and Landlock belong to threads.
    let threads = try check(haechi_thread_count(), "opendir", "/proc/self/task")
    guard threads == 1 else { throw SystemCallError("clone", number: EBUSY, subject: "\(threads) threads exist before the sandbox") }

    // An image that executes itself is called `exe` otherwise.
    try check(haechi_name_process("haechi-runtime"), "prctl", "PR_SET_NAME")
    try check(haechi_limit(HAECHI_LIMIT_CORE, 0), "setrlimit", "RLIMIT_CORE")
    try check(haechi_limit(HAECHI_LIMIT_DESCRIPTORS, maximumDescriptors), "setrlimit", "RLIMIT_NOFILE")
    if let most = policy.maximumThreads { try check(haechi_limit(HAECHI_LIMIT_TASKS, most), "setrlimit", "RLIMIT_NPROC") }
    _ = umask(0o077)

    // While this is still the user who may open what the rules name, and before a user without rights.
    let landlock = try makeRules(policy, &notes)
    if let user = policy.user { try check(haechi_become(user.uid, user.gid), "setresuid", "\(user.uid):\(user.gid)") }
    try check(haechi_drop_capabilities(), "capset", "no capabilities")
    try check(haechi_harden_process(supervisor), "prctl", "no new privileges, not dumpable, end with process \(supervisor)")
    if let landlock { try check(haechi_landlock_enforce(landlock), "landlock_restrict_self", "for the runtime") }
    if let landlock { close(landlock) }
    // Last: from here on only what SystemCallPolicy lists.
    let filter = SeccompFilter.assemble(SystemCallPolicy.runtime(process: UInt32(bitPattern: getpid())))
    try check(haechi_install_filter(filter, UInt16(clamping: filter.count)), "seccomp", "for the runtime")
    return notes
  }

  private static func makeRules(_ policy: SandboxPolicy, _ notes: inout [String]) throws(SystemCallError) -> CInt? {
    let version = Landlock.version()
    if version < Landlock.fullVersion, policy.isStrict {
      throw SystemCallError(
        "landlock_create_ruleset", number: version < 0 ? 0 &- version : ENOTSUP,
        subject: "version \(Landlock.fullVersion) is needed on a device")
    }
    guard version > 0 else {
      notes.append("this kernel has no Landlock: the runtime reaches every file that its user may")
      return nil
    }
    if version < Landlock.fullVersion {
      notes.append("this kernel has Landlock \(version), not \(Landlock.fullVersion): ports or signals are not bounded by it")
    }
    return try Landlock.makeRules(policy, version: version)
  }
}
