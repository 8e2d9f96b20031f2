import Foundations
import Glibc
import Synchronization
import Testing

@testable import OperatorKit

/// The real executable on a virtual board of this host, with a folder of its own: real processes, the real supervisor, the real sandbox. Ended and removed
/// with this object.
final class HaechidProcess {
  let endpoint: Endpoint
  private let folder: TemporaryFolder
  private var process: pid_t
  private var boardFolder: String { folder.path + "/device" }
  private let arguments: [String]
  /// Presses its button until it is ended.
  private var finger: Task<Void, Never>?
  /// The audit log's files.
  var auditFolder: String { boardFolder + "/audit" }
  /// What its runtime has of its owner.
  var ownerFile: String { boardFolder + "/state/owner.json" }
  /// What its supervisor must not forget.
  var beliefsFile: String { boardFolder + "/supervisor/beliefs" }

  /// - Parameters:
  ///   - port: where it listens on the loopback address.
  ///   - peerPorts: where it may reach its peers.
  init(maker: OperatorHome, port: Int, peerPorts: [Int]) throws {
    var own = [CChar](repeating: 0, count: 4_096)
    let length = readlink("/proc/self/exe", &own, own.count)
    try #require(length > 0)
    let test = String(decoding: own.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // The executable stands beside the tests'.
    let program = test.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/haechid"
    folder = try TemporaryFolder()
    endpoint = Endpoint(host: "127.0.0.1", port: port)
    arguments =
      [program, "--listen", "127.0.0.1:\(port)", "--state", folder.path + "/device", "--maker-ca", maker.makerFolder + "/maker-ca.der"]
      + peerPorts.flatMap { ["--peer-port", String($0)] }
    process = 0
    try start()
  }

  private func start() throws {
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, folder.path + "/log", O_CREAT | O_WRONLY | O_APPEND, 0o600)
    var started: pid_t = 0
    try #require(posix_spawn(&started, arguments[0], &actions, nil, &argv, environ) == 0, "\(arguments[0]) cannot be started")
    process = started
  }

  /// Ends it in order, or as a power cut would, and starts it again in the same folder.
  ///
  /// - Parameter isCut: whether it gets no time to end.
  func restart(isCut: Bool) async throws {
    if process > 0 {
      kill(process, isCut ? SIGKILL : SIGTERM)
      waitpid(process, nil, 0)
    }
    // Its runtime ends with it, which may take the kernel a moment: the next one must not find its port taken.
    for _ in 0..<2_400 {
      guard Self.loopback(endpoint.port, connect) else { break }
      try await Task.sleep(for: .milliseconds(50))
    }
    unlink(folder.path + "/log")
    try start()
    try await waitUntilServing()
  }

  /// Ends its runtime, and waits until the supervisor has started the next.
  func killRuntime() async throws {
    let children = text("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { pid_t($0) }
    let before = log.ranges(of: "serves after").count
    for child in children { kill(child, SIGKILL) }
    for _ in 0..<4_800 {
      if log.ranges(of: "serves after").count > before { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("no other runtime serves: \(log)")
  }

  /// Ends its runtimes until it is in quarantine: three in a row, unless a busy machine gave one of them the time to settle.
  func endRuntimesUntilQuarantined() async throws {
    for _ in 0..<30 where !log.contains("grade quarantined") { try await killRuntime() }
  }

  /// Waits until it has ended by itself.
  func waitUntilGone() async throws {
    for _ in 0..<4_800 {
      if waitpid(process, nil, WNOHANG) == process {
        process = 0
        return
      }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("it never ended: \(log)")
  }

  deinit {
    finger?.cancel()
    guard process > 0 else { return }
    kill(process, SIGKILL)
    waitpid(process, nil, 0)
  }

  var log: String { text(folder.path + "/log") }
  /// The rules that a real board would enforce now.
  var policy: String { text(boardFolder + "/policy") }

  /// Waits until it serves: its runtime takes a moment.
  func waitUntilServing() async throws {
    for _ in 0..<4_800 {
      if log.contains("serves after") { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("it never served: \(log)")
  }

  /// Presses its button again and again until `letGo`: on a busy machine one press may be over before the device has looked.
  func press() {
    guard finger == nil else { return }
    let path = boardFolder + "/gpio/button"
    finger = Task.detached {
      while !Task.isCancelled {
        for value in ["1\n", "0\n"] {
          let line = open(path, O_WRONLY | O_TRUNC)
          write(line, value, 2)
          close(line)
          // Longer than the line is debounced.
          try? await Task.sleep(for: .milliseconds(300))
        }
      }
    }
  }

  private func letGo() async {
    finger?.cancel()
    await finger?.value
    finger = nil
  }

  /// Runs `body`, which may press the button.
  func withButton<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      let value = try await body()
      await letGo()
      return value
    } catch {
      await letGo()
      throw error
    }
  }

  private func text(_ path: String) -> String {
    (try? PrivateFiles.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Below the ports that the kernel hands out by itself: nobody gets one of these between the look at it and its use.
  private static let ports = 31_300..<32_700
  private static let nextPort = Mutex(Int.random(in: ports))

  /// TCP ports of the loopback address where nobody listens. Each is given once, so that no other test has it either.
  static func freePorts(_ count: Int) throws -> [Int] {
    var found: [Int] = []
    for _ in ports where found.count < count {
      let port = nextPort.withLock { next in
        defer { next = next + 1 < ports.upperBound ? next + 1 : ports.lowerBound }
        return next
      }
      if loopback(port, bind) { found.append(port) }
    }
    try #require(found.count == count)
    return found
  }

  /// Whether a call works for a socket that is made for it and closed again.
  private static func loopback(_ port: Int, _ call: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt) -> Bool {
    // No program that is started meanwhile gets it, and what one still has of it until its exec is in no server's way.
    let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    defer { close(number) }
    var on: CInt = 1
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
  }
}
