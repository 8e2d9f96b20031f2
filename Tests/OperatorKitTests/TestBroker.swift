import Crypto
import Foundation
import Foundations
import Glibc
import Identity
import MQTT
import Synchronization
import TLS
import Testing

@testable import OperatorKit

/// A real mosquitto on loopback: mutual TLS 1.3, rights by the certificates of one owner, as `make cloud` has it.
final class TestBroker {
  let folder: TemporaryFolder
  let home: OperatorHome
  let unlocked: UnlockedOwner
  var owner: OwnerFolder { unlocked.owner }
  let authority: CertificateIssuer
  private(set) var port: UInt16 = 0
  private var process: Process?

  var address: String { "127.0.0.1:\(port)" }
  var authorityFile: String { folder.path + "/broker-ca.pem" }

  /// An owner with an admin `ada`, a viewer `grace`, and a broker that knows both. It is not started yet.
  init() throws {
    folder = try TemporaryFolder()
    home = OperatorHome(path: folder.path + "/home")
    let now_s = secondsNow()
    unlocked = try makeOwner(home.ownerFolder, now_s: now_s)
    try unlocked.ensureAdmin("ada", now_s: now_s)
    _ = try unlocked.addMember("grace", role: "viewer")
    let key = try PrivateKey.generateP256()
    authority = try CertificateIssuer(certificate: MakerAuthorityProfile.make(name: "Test broker", key: key, now_s: now_s), key: key)
    let serverKey = try PrivateKey.generateP256()
    let address = try #require(NetworkAddress("127.0.0.1"))
    let server = try authority.issue(
      CertificateTemplate(
        kind: .leaf, subject: DistinguishedName(commonName: "broker"), notBefore_s: now_s - 3600, notAfter_s: now_s + 86_400,
        extendedKeyUsages: [.serverAuthentication], names: [.address(address), .dns("localhost")]),
      publicKey: serverKey.publicKey)
    try KeyFiles.write(authority.certificate, to: authorityFile)
    try KeyFiles.write(server, to: folder.path + "/server.pem")
    try KeyFiles.write(serverKey, to: folder.path + "/server.key")
    let rights = """
      pattern write haechi/%u/#
      pattern read haechi/%u/command/#\npattern read haechi/%u/erased
      user ada
      topic readwrite haechi/#
      user grace
      topic read haechi/#

      """
    try PrivateFiles.write(Array(rights.utf8), to: folder.path + "/rights", existing: .refuse)
  }

  deinit { process.map(Self.end) }

  /// Starts it, on the port that it had or a free one, and waits until it listens.
  func start() async throws {
    for _ in 0..<20 {
      if port == 0 { port = try #require(UInt16(exactly: HaechidProcess.freePorts(1)[0])) }
      let configuration = """
        listener \(port) 127.0.0.1
        cafile \(home.ownerFolder)/ca.pem
        certfile \(folder.path)/server.pem
        keyfile \(folder.path)/server.key
        tls_version tlsv1.3
        require_certificate true
        use_identity_as_username true
        allow_anonymous false
        acl_file \(folder.path)/rights
        persistence false
        user \(String(cString: getpwuid(getuid()).pointee.pw_name))

        """
      try PrivateFiles.write(Array(configuration.utf8), to: folder.path + "/mosquitto.conf", existing: .replace)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["mosquitto", "-c", folder.path + "/mosquitto.conf"]
      // Where a distribution puts it is on no ordinary user's path.
      process.environment = ["PATH": (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin"]
      process.standardOutput = FileHandle.nullDevice
      process.standardError = FileHandle.nullDevice
      try process.run()
      self.process = process
      for _ in 0..<4_800 where process.isRunning {
        if isListening() { return }
        try await Task.sleep(for: .milliseconds(25))
      }
      // Somebody else has the port by now.
      await stop()
      port = 0
    }
    Issue.record("mosquitto did not start; its configuration is in \(folder.path)")
  }

  /// At once, as by a power cut.
  func stop() async {
    guard let process else { return }
    Self.end(process)
    // Waiting for it in another way would need a run loop.
    while process.isRunning { try? await Task.sleep(for: .milliseconds(20)) }
    self.process = nil
  }

  private static func end(_ process: Process) {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  func access(_ person: String) throws -> BrokerAccess {
    try BrokerAccess(home: home, address: address, authorityFile: authorityFile, person: person)
  }

  private func isListening() -> Bool {
    guard let (descriptor, address) = try? loopbackSocket(port) else { return false }
    defer { close(descriptor) }
    var there = address
    return withUnsafeMutablePointer(to: &there) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
  }

  private func loopbackSocket(_ port: UInt16) throws -> (CInt, sockaddr_in) {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    try #require(descriptor >= 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return (descriptor, address)
  }
}

/// A device as the broker sees it: it publishes what it is told, and answers commands.
final class TestCloudDevice: Sendable {
  let identifier: DeviceIdentifier
  private let client: MQTTClient
  private let broker: (address: NetworkAddress, port: UInt16)
  private let isReady = Mutex(false)
  private let answered = Mutex<[MQTTMessage]>([])

  /// - Parameter answer: the content type and body of the answer to a command; nil to give none.
  init(_ broker: TestBroker, answer: (@Sendable (MQTTMessage) -> (type: String, body: String)?)? = nil) throws {
    let key = try PrivateKey.generateP256()
    identifier = InitialDeviceProfile.identifier(key.publicKey)
    let certificate = try broker.unlocked.issuer.issue(
      OperationalDeviceProfile.template(owner: broker.owner.identifier, device: identifier, now_s: secondsNow()), publicKey: key.publicKey)
    self.broker = (try #require(NetworkAddress("127.0.0.1")), broker.port)
    let tls = try LibraryClientContext(
      chain: [certificate], key: key, authorities: [broker.authority.certificate], server: .address(self.broker.address), clock: WallClock(floor_s: 0))
    let (events, event) = AsyncStream.makeStream(of: MQTTEvent.self)
    client = try MQTTClient(MQTTConfiguration(clientIdentifier: identifier.text), tls: tls) { event.yield($0) }
    let filter = "haechi/\(identifier)/command/+"
    let erased = "haechi/\(identifier)/erased"
    // Ends with the client, whose last event it is.
    Task { [weak self] in
      for await event in events {
        guard let self else { return }
        switch event {
        case .connected:
          _ = client.subscribe(erased)
          _ = client.subscribe(filter)
        case .subscribed(let subscribed, _): if subscribed == filter { isReady.withLock { $0 = true } }
        case .disconnected, .refused:
          isReady.withLock { $0 = false }
          try? await Task.sleep(for: .milliseconds(50))
          connect()
        case .message(let message) where message.topic == erased: answered.withLock { $0.append(message) }
        case .message(let command):
          guard let topic = command.properties.responseTopic, let (type, body) = answer?(command) else { continue }
          _ = client.publish(
            MQTTMessage(
              topic: topic, payload: Array(body.utf8),
              properties: MQTTProperties(contentType: type, correlationData: command.properties.correlationData)))
        case .closed: return
        case .acknowledged, .dropped: break
        }
      }
    }
    connect()
  }

  deinit { client.close() }

  private func connect() { client.connect(to: broker.address, port: broker.port) }

  func waitUntilReady() async throws {
    for _ in 0..<6_000 {
      if isReady.withLock({ $0 }) { return }
      try await Task.sleep(for: .milliseconds(20))
    }
    Issue.record("the device never reached the broker")
  }

  /// What came as answers to its wish to be forgotten.
  var answers: [MQTTMessage] { answered.withLock { $0 } }

  /// Publishes below the device's own topic; lost where there is no connection.
  func publish(_ topic: String, _ body: String, isRetained: Bool = false, replyTo: String? = nil, correlation: [UInt8]? = nil) {
    _ = client.publish(
      MQTTMessage(
        topic: "haechi/\(identifier)/\(topic)", payload: Array(body.utf8), isRetained: isRetained,
        properties: MQTTProperties(responseTopic: replyTo, correlationData: correlation)))
  }
}
