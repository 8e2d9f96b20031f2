public import Crypto
import Foundations
import Glibc

/// What a test could not start or did not see.
public struct TestBrokerError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

/// The distribution's mosquitto on loopback with mutual TLS: who connects is whom its certificate names.
public final class TestBroker {
  public let port: UInt16
  public let folder: String
  private var process: pid_t = 0

  /// - Parameters:
  ///   - clients: who signs the certificates that it lets in.
  ///   - limits: further lines of its configuration.
  ///   - isPersistent: whether it keeps sessions and messages over a restart in order.
  public init(
    credential: CloudWorld.Credential, clients: Certificate, limits: [String] = [], isPersistent: Bool = false
  ) throws {
    var template = Array("/tmp/haechi-broker.XXXXXX".utf8CString)
    guard let folder = mkdtemp(&template).map({ String(cString: $0) }) else { throw TestBrokerError("no folder for a broker") }
    self.folder = folder
    port = try freePort()
    try writeFile("\(folder)/clients.pem", clients.pem)
    try writeFile("\(folder)/broker.pem", credential.certificate.pem)
    try writeFile("\(folder)/broker.key", try credential.key.pem().withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    try writeFile("\(folder)/acl", "pattern readwrite haechi/%u/#\nuser watcher\ntopic readwrite haechi/#\n")
    var lines = [
      "listener \(port) 127.0.0.1", "cafile \(folder)/clients.pem", "certfile \(folder)/broker.pem", "keyfile \(folder)/broker.key",
      "tls_version tlsv1.3", "require_certificate true", "use_identity_as_username true", "allow_anonymous false", "acl_file \(folder)/acl",
      "log_type all", "log_dest stderr", "max_inflight_messages 0", "max_queued_messages 0", "persistence \(isPersistent)",
    ]
    lines += limits
    if isPersistent { lines.append("persistence_location \(folder)/") }
    // Started by root it would become a user who may not read the test's keys.
    if getuid() == 0 { lines.append("user root") }
    try writeFile("\(folder)/mosquitto.conf", lines.joined(separator: "\n") + "\n")
    try start()
  }

  deinit {
    kill()
    removeFolder(folder)
  }

  /// Starts it again; returns once it listens.
  public func start() throws {
    process = try startProcess(["/usr/sbin/mosquitto", "-c", "\(folder)/mosquitto.conf"], output: "\(folder)/log")
    for _ in 0..<1_200 {
      if isListening(port) { return }
      var status: CInt = 0
      if waitpid(process, &status, WNOHANG) == process {
        process = 0
        throw TestBrokerError("mosquitto ended at its start: \(log)")
      }
      usleep(50_000)
    }
    throw TestBrokerError("mosquitto does not listen: \(log)")
  }

  /// Ends it at once.
  public func kill() { end(SIGKILL) }

  /// Ends it in order: it writes down what it keeps.
  public func stop() { end(SIGTERM) }

  private func end(_ signal: CInt) {
    guard process > 0 else { return }
    Glibc.kill(process, signal)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    process = 0
  }

  public var log: String { readFile("\(folder)/log") }
}

/// The distribution's mosquitto_sub as the person `watcher`, in a session that the broker keeps: every payload is a line.
public final class TestSubscriber {
  private let folder: String
  private let words: [String]
  private var process: pid_t

  public init(_ broker: TestBroker, world: CloudWorld, filter: String) throws {
    let watcher = try world.person("watcher")
    folder = broker.folder
    try writeFile("\(folder)/authority.pem", world.brokerAuthority.certificate.pem)
    try writeFile("\(folder)/watcher.pem", watcher.certificate.pem)
    try writeFile("\(folder)/watcher.key", try watcher.key.pem().withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    words = [
      "/usr/bin/mosquitto_sub", "-h", "127.0.0.1", "-p", "\(broker.port)", "-V", "mqttv5", "-i", "watcher", "-c", "-x", "3600", "-q", "1", "-t", filter,
      "--cafile", "\(folder)/authority.pem", "--cert", "\(folder)/watcher.pem", "--key", "\(folder)/watcher.key",
    ]
    process = try startProcess(words, output: "\(folder)/received")
  }

  deinit {
    Glibc.kill(process, SIGKILL)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
  }

  /// What has arrived so far. A program that ended because its broker went is started again: its session is still there.
  public func lines() throws -> [String] {
    var status: CInt = 0
    if waitpid(process, &status, WNOHANG) == process { process = try startProcess(words, output: "\(folder)/received") }
    return readFile("\(folder)/received").split(separator: "\n").map(String.init)
  }
}

/// Waits until `condition` holds; the deadline is for a machine that is very busy.
public func eventually(_ what: @autoclosure () -> String, deadline_s: UInt64 = 120, _ condition: () async throws -> Bool) async throws {
  let end_ms = BootClock.now_ms() + deadline_s * 1_000
  while BootClock.now_ms() < end_ms {
    if try await condition() { return }
    try await Task.sleep(nanoseconds: 20_000_000)
  }
  throw TestBrokerError("it never came about that \(what())")
}

/// A server of one TLS version that answers whatever comes with the bytes that it was given: a broker that keeps to nothing.
public final class ScriptedServer {
  public let port: UInt16
  private let folder: String
  private let process: pid_t

  public init(credential: CloudWorld.Credential, version: String = "-tls1_3", answer: [UInt8]) throws {
    var template = Array("/tmp/haechi-server.XXXXXX".utf8CString)
    guard let folder = mkdtemp(&template).map({ String(cString: $0) }) else { throw TestBrokerError("no folder for a server") }
    self.folder = folder
    try writeFile("\(folder)/own.pem", credential.certificate.pem)
    try writeFile("\(folder)/own.key", try credential.key.pem().withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
    try writeFile("\(folder)/answer", bytes: answer)
    // Not -quiet: then it says which port it listens on.
    process = try startProcess(
      ["/usr/bin/openssl", "s_server", "-accept", "127.0.0.1:0", version, "-cert", "\(folder)/own.pem", "-key", "\(folder)/own.key"],
      input: "\(folder)/answer", output: "\(folder)/log")
    for _ in 0..<1_200 {
      let line = readFile("\(folder)/log").split(separator: "\n").first { $0.hasPrefix("ACCEPT") }
      if let port = line?.split(separator: ":").last.flatMap({ UInt16($0) }) {
        self.port = port
        return
      }
      usleep(50_000)
    }
    throw TestBrokerError("openssl s_server does not listen: \(readFile("\(folder)/log"))")
  }

  deinit {
    Glibc.kill(process, SIGKILL)
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    removeFolder(folder)
  }
}
