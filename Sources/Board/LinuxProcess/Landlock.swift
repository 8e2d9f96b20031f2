internal import CHaechi
internal import Foundations
internal import Glibc

/// Landlock (kernel Documentation/userspace-api/landlock.rst): which files a process may reach and which TCP ports it may use.
enum Landlock {
  /// The version that brings everything used here (Linux 6.12): files, truncation, device ioctl, TCP ports, signals.
  static let fullVersion: CInt = 6

  // Rights on files, by their bit in linux/landlock.h.
  private static let writeFile: UInt64 = 1 << 1
  private static let readFile: UInt64 = 1 << 2
  private static let readFolder: UInt64 = 1 << 3
  private static let removeFolder: UInt64 = 1 << 4
  private static let removeFile: UInt64 = 1 << 5
  private static let makeFolder: UInt64 = 1 << 7
  private static let makeRegular: UInt64 = 1 << 8
  private static let refer: UInt64 = 1 << 13
  private static let truncate: UInt64 = 1 << 14

  static let readOnly = readFile | readFolder
  // No device nodes, sockets, pipes or links: the runtime keeps plain files.
  private static let readWrite =
    readOnly | writeFile | removeFolder | removeFile | makeFolder | makeRegular | refer | truncate
  private static let onFiles = readFile | writeFile | truncate

  private static let bindTCP: UInt64 = 1 << 0
  private static let connectTCP: UInt64 = 1 << 1

  static func version() -> CInt { haechi_landlock_version() }

  /// Every right on files that `version` knows: all are taken away but those allowed.
  private static func filesHandled(version: CInt) -> UInt64 {
    let bits: UInt64 = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13
    return (1 << bits) - 1
  }

  /// A rule set as a descriptor that the caller closes. Paths are opened now, with the rights of now; the rules hold once they are enforced.
  static func makeRules(_ policy: SandboxPolicy, version: CInt) throws(SystemCallError) -> CInt {
    let files = filesHandled(version: version)
    let ports: UInt64 = version >= 4 ? bindTCP | connectTCP : 0
    // Abstract Unix sockets and signals to processes outside.
    let scoped: UInt64 = version >= 6 ? 3 : 0
    let size: CInt = version >= 6 ? 24 : version >= 4 ? 16 : 8
    let rules = try check(haechi_landlock_make(files, ports, scoped, size), "landlock_create_ruleset", "for the runtime")
    do throws(SystemCallError) {
      try addRules(policy, rules: rules, files: files, version: version)
    } catch {
      close(rules)
      throw error
    }
    return rules
  }

  private static func addRules(_ policy: SandboxPolicy, rules: CInt, files: UInt64, version: CInt) throws(SystemCallError) {
    for path in policy.readablePaths { try allow(path, readOnly & files, rules) }
    for path in policy.writableFolders { try allow(path, readWrite & files, rules) }
    guard version >= 4 else { return }
    for port in policy.listenPorts {
      try check(haechi_landlock_allow_port(rules, UInt64(port), bindTCP), "landlock_add_rule", "TCP port \(port)")
    }
    for port in policy.connectPorts {
      try check(haechi_landlock_allow_port(rules, UInt64(port), connectTCP), "landlock_add_rule", "TCP port \(port)")
    }
  }

  /// A path that does not exist needs no rule: what is made there later stays out of reach.
  private static func allow(_ path: String, _ access: UInt64, _ rules: CInt) throws(SystemCallError) {
    let descriptor = haechi_open_path(path)
    if descriptor == 0 - ENOENT { return }
    try check(descriptor, "open", path)
    defer { close(descriptor) }
    var facts = stat()
    guard fstat(descriptor, &facts) == 0 else { throw SystemCallError("fstat", number: errno, subject: path) }
    let isFolder = facts.st_mode & S_IFMT == S_IFDIR
    try check(
      haechi_landlock_allow_path(rules, descriptor, isFolder ? access : access & onFiles), "landlock_add_rule", path)
  }
}
