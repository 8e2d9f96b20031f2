public import Crypto
public import Foundations
public import MQTT
import Synchronization
import TLS

/// A client and all that it has told.
public final class TestClient: Sendable {
  public let mqtt: MQTTClient
  private let heard: Heard

  private final class Heard: Sendable {
    let events = Mutex<[MQTTEvent]>([])
  }

  public init(
    _ world: CloudWorld, _ credential: CloudWorld.Credential, _ configuration: MQTTConfiguration,
    authority: Certificate? = nil, server: SubjectAlternativeName = .dns("broker.test")
  ) throws {
    let heard = Heard()
    self.heard = heard
    // A busy machine may need longer for a handshake than a device waits for one.
    var configuration = configuration
    configuration.connectDeadline_ms = max(configuration.connectDeadline_ms, 300_000)
    let tls = try LibraryClientContext(
      chain: [credential.certificate], key: credential.key, authorities: [authority ?? world.brokerAuthority.certificate], server: server,
      clock: world.clock)
    mqtt = try MQTTClient(configuration, tls: tls) { event in heard.events.withLock { $0.append(event) } }
  }

  /// Whether its thread has ended; the deadline is for a machine that is very busy.
  public func closeAndWait() -> Bool { mqtt.closeAndWait(deadline_ms: 120_000) }

  public func connect(_ port: UInt16) { mqtt.connect(to: NetworkAddress(ipv4: 0x7f00_0001), port: port) }

  public var events: [MQTTEvent] { heard.events.withLock { $0 } }
  public var connectedCount: Int { events.count { if case .connected = $0 { true } else { false } } }
  public var isClosed: Bool { if case .closed? = events.last { true } else { false } }
  public var acknowledged: [MQTTToken] { events.compactMap { if case .acknowledged(let token) = $0 { token } else { nil } } }
  public var dropped: [MQTTToken] { events.compactMap { if case .dropped(let token, _) = $0 { token } else { nil } } }
  public var messages: [MQTTMessage] { events.compactMap { if case .message(let message) = $0 { message } else { nil } } }
  public var subscribed: [String] { events.compactMap { if case .subscribed(let filter, let reason) = $0, !reason.isRefusal { filter } else { nil } } }
  /// Each end of a connection or of an attempt; nil for one that was asked for.
  public var ends: [(any HaechiError)?] { events.compactMap { if case .disconnected(let error) = $0 { .some(error) } else { nil } } }
  public var refusals: [MQTTReasonCode] { events.compactMap { if case .refused(let reason) = $0 { reason } else { nil } } }

  /// Connects and waits for it.
  public func join(_ port: UInt16) async throws {
    let count = connectedCount
    connect(port)
    try await eventually("the client is connected: \(events)") { connectedCount > count }
  }

  public func subscribe(_ filter: String) async throws {
    guard mqtt.subscribe(filter) else { return }
    try await eventually("the broker accepts the subscription") { subscribed.contains(filter) }
  }
}
