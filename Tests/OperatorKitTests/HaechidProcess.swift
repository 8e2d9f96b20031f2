import Foundations
import Glibc
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
    unlink(folder.path + "/log")
    try start()
    try await waitUntilServing()
  }

  /// Ends its runtime, and waits until the supervisor has started the next.
  func killRuntime() async throws {
    let children = text("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { pid_t($0) }
    let before = log.ranges(of: "serves after").count
    for child in children { kill(child, SIGKILL) }
    for _ in 0..<1_200 {
      if log.ranges(of: "serves after").count > before { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("no other runtime serves: \(log)")
  }

  /// Waits until it has ended by itself.
  func waitUntilGone() async throws {
    for _ in 0..<1_200 {
      if waitpid(process, nil, WNOHANG) == process {
        process = 0
        return
      }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("it never ended: \(log)")
  }

  deinit {
    guard process > 0 else { return }
    kill(process, SIGKILL)
    waitpid(process, nil, 0)
  }

  var log: String { text(folder.path + "/log") }
  /// The rules that a real board would enforce now.
  var policy: String { text(boardFolder + "/policy") }

  /// Waits until it serves: its runtime takes a moment.
  func waitUntilServing() async throws {
    for _ in 0..<1_200 {
      if log.contains("serves after") { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("it never served: \(log)")
  }

  func press() {
    for value in ["1\n", "0\n"] {
      let line = open(boardFolder + "/gpio/button", O_WRONLY | O_TRUNC)
      write(line, value, 2)
      close(line)
      // Longer than the line is debounced.
      usleep(200_000)
    }
  }

  private func text(_ path: String) -> String {
    (try? PrivateFiles.read(path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// TCP ports of the loopback address that nobody has now.
  static func freePorts(_ count: Int) throws -> [Int] {
    var sockets: [CInt] = []
    defer { for number in sockets { close(number) } }
    return try (0..<count).map { _ in
      let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
      sockets.append(number)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(number, $0, size) == 0 && getsockname(number, $0, &size) == 0 }
      }
      try #require(bound)
      return Int(UInt16(bigEndian: address.sin_port))
    }
  }
}
