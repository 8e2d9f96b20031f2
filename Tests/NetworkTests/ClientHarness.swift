import Foundations
import Network

/// A client with a clock that only tests move.
struct ClientHarness {
  var client: DHCPClient
  var now_ms: UInt64
  var timer_ms: UInt64?
  var sent: [(time_ms: UInt64, message: DHCPMessage, to: IPv4Address)] = []
  /// What is set on the interface, as far as `apply` and `drop` said.
  var interface: DHCPLease?
  var drops = 0
  var log: [(level: LogLevel, text: String)] = []

  init(seed: UInt64 = 1, now_ms: UInt64 = 1_000_000, hostName: String? = "haechi-test", initialDelay_ms: UInt64 = 1_000) throws {
    self.now_ms = now_ms
    client = DHCPClient(
      configuration: try DHCPClientConfiguration(hardwareAddress: hardwareAddress, hostName: hostName, initialDelay_ms: initialDelay_ms),
      random: SeededGenerator(seed: seed))
  }

  mutating func feed(_ input: DHCPClient.Input) {
    for output in client.handle(input, now_ms: now_ms) {
      switch output {
      case .send(let message, let to): sent.append((now_ms, message, to))
      case .apply(let lease): interface = lease
      case .drop:
        interface = nil
        drops += 1
      case .setTimer(let at_ms): timer_ms = at_ms
      case .clearTimer: timer_ms = nil
      case .log(let level, let text): log.append((level, text))
      }
    }
  }

  /// Moves the clock to the timer, which fires once, and calls; false where there is none.
  @discardableResult mutating func fire() -> Bool {
    guard let timer_ms else { return false }
    now_ms = max(now_ms, timer_ms)
    self.timer_ms = nil
    feed(.timer)
    return true
  }

  /// Fires until `condition` holds; false where it does not within so many timers.
  mutating func fire(atMost count: Int, until condition: (ClientHarness) -> Bool) -> Bool {
    for _ in 0..<count {
      if condition(self) { return true }
      if !fire() { break }
    }
    return condition(self)
  }

  mutating func receive(_ message: DHCPMessage) throws { feed(.datagram(try message.serialized())) }

  /// Link up, discover, offer, request, acknowledgement.
  mutating func bind(_ answer: ServerAnswer = ServerAnswer()) throws {
    feed(.linkUp)
    fire()
    try receive(answer.reply(.offer, to: sent.last!.message))
    try receive(answer.reply(.ack, to: sent.last!.message))
  }

  var lastMessage: DHCPMessage? { sent.last?.message }
  func logged(_ text: String) -> Bool { log.contains { $0.text.contains(text) } }
}

/// What a server says; each field can be set wrong.
struct ServerAnswer {
  var address = ip("192.168.7.20")
  var server: IPv4Address? = ip("192.168.7.1")
  var mask: IPv4Address? = ip("255.255.255.0")
  var routers = [ip("192.168.7.1")]
  var resolvers = [ip("192.168.7.1"), ip("9.9.9.9")]
  var lease_s: UInt32? = 3_600
  var renewal_s: UInt32?
  var rebinding_s: UInt32?
  var transactionChange: UInt32 = 0
  var hardwareAddress: [UInt8]?
  var operation = DHCPMessage.Operation.reply

  func reply(_ type: DHCPMessageType, to request: DHCPMessage) -> DHCPMessage {
    var options: [DHCPOption] = [.type(type)]
    if let server { options.append(.address(DHCPOptionCode.serverIdentifier, server)) }
    if type != .nak {
      if let lease_s { options.append(.number(DHCPOptionCode.leaseTime, lease_s)) }
      if let mask { options.append(.address(DHCPOptionCode.subnetMask, mask)) }
      if !routers.isEmpty { options.append(.addresses(DHCPOptionCode.router, routers)) }
      if !resolvers.isEmpty { options.append(.addresses(DHCPOptionCode.domainNameServer, resolvers)) }
      if let renewal_s { options.append(.number(DHCPOptionCode.renewalTime, renewal_s)) }
      if let rebinding_s { options.append(.number(DHCPOptionCode.rebindingTime, rebinding_s)) }
    }
    return DHCPMessage(
      operation: operation, transaction: request.transaction ^ transactionChange, broadcast: request.broadcast,
      clientAddress: type == .ack ? request.clientAddress : .unspecified, yourAddress: type == .nak ? .unspecified : address,
      hardwareAddress: hardwareAddress ?? request.hardwareAddress, options: options)
  }

  func with(_ change: (inout ServerAnswer) -> Void) -> ServerAnswer {
    var copy = self
    change(&copy)
    return copy
  }
}
