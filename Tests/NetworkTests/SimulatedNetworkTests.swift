import Foundations
import Network
import Testing

/// A server, a link that loses, doubles, delays and damages, and a client: hours of it in a moment, the same for the same seed.
private struct SimulatedNetwork {
  struct Parcel {
    let time_ms: UInt64
    let bytes: [UInt8]
    let toServer: IPv4Address?
  }

  var random: SeededGenerator
  var harness: ClientHarness
  /// On the wire in both directions, in no order.
  var wire: [Parcel] = []
  /// Until when the server holds an address for the client.
  var granted: [IPv4Address: UInt64] = [:]
  var server = ip("192.168.7.1")
  var serverIsUp = true
  var firstHost: UInt32 = 20
  var lease_s: UInt32 = 600
  var isFaulty = true

  init(seed: UInt64) throws {
    random = SeededGenerator(seed: seed)
    harness = try ClientHarness(seed: seed ^ 0xabcd, now_ms: 5_000)
  }

  mutating func chance(_ one: Int, in all: Int) -> Bool { isFaulty && Int.random(in: 0..<all, using: &random) < one }

  mutating func put(_ bytes: [UInt8], toServer: IPv4Address?) {
    if chance(1, in: 4) { return }
    for _ in 0..<(chance(1, in: 5) ? 2 : 1) {
      // Up to 12 s: an answer may come after the next retransmission, and out of order.
      let delay_ms = chance(1, in: 4) ? UInt64.random(in: 0...12_000, using: &random) : UInt64.random(in: 1...40, using: &random)
      var bytes = bytes
      // Damage that a client can know: cut off, or another header. A changed lease time is no different from a given one; the
      // UDP checksum stands against it.
      if chance(1, in: 12) { bytes = Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))) }
      if chance(1, in: 12), bytes.count > 8 { bytes[Int.random(in: 0..<8, using: &random)] ^= UInt8.random(in: 1...255, using: &random) }
      wire.append(Parcel(time_ms: harness.now_ms + delay_ms, bytes: bytes, toServer: toServer))
    }
  }

  mutating func serve(_ bytes: [UInt8], to destination: IPv4Address) throws {
    guard serverIsUp, destination == .broadcast || destination == server, let request = try? DHCPMessage(parsing: bytes),
      request.operation == .request, request.hardwareAddress == hardwareAddress
    else { return }
    let mine = IPv4Address(rawValue: 0xc0a8_0700 + firstHost)
    let answer = ServerAnswer(address: mine, server: server, routers: [server], lease_s: lease_s)
    switch request.type {
    case .discover: put(try answer.reply(.offer, to: request).serialized(), toServer: nil)
    case .request:
      if let chosen = request.address(DHCPOptionCode.serverIdentifier), chosen != server { return }
      let wanted = request.address(DHCPOptionCode.requestedAddress) ?? request.clientAddress
      if wanted == mine {
        granted[mine] = max(granted[mine] ?? 0, harness.now_ms + UInt64(lease_s) * 1_000)
        put(try answer.reply(.ack, to: request).serialized(), toServer: nil)
      } else {
        put(try answer.reply(.nak, to: request).serialized(), toServer: nil)
      }
    default: break
    }
  }

  /// The next thing that happens, at the latest at `end_ms`.
  mutating func step(until end_ms: UInt64) throws {
    let next = wire.indices.min { wire[$0].time_ms < wire[$1].time_ms }
    let timer_ms = harness.timer_ms ?? .max
    let wire_ms = next.map { wire[$0].time_ms } ?? .max
    guard min(timer_ms, wire_ms) <= end_ms else {
      harness.now_ms = end_ms
      return
    }
    let sentBefore = harness.sent.count
    if let next, wire_ms <= timer_ms {
      let parcel = wire.remove(at: next)
      harness.now_ms = max(harness.now_ms, parcel.time_ms)
      if let destination = parcel.toServer {
        try serve(parcel.bytes, to: destination)
      } else if harness.client.state != .down {
        harness.feed(.datagram(parcel.bytes))
      }
    } else {
      harness.fire()
    }
    for packet in harness.sent.dropFirst(sentBefore) { put(try packet.message.serialized(), toServer: packet.to) }
  }

  mutating func run(for duration_ms: UInt64) throws {
    let end_ms = harness.now_ms + duration_ms
    // Far more events than an hour can have: a client that spins is stopped here.
    for _ in 0..<50_000 {
      if harness.now_ms >= end_ms { return }
      try step(until: end_ms)
      check()
    }
    Issue.record("the client never rests: \(harness.sent.count) packets by \(harness.now_ms) ms")
  }

  /// What must hold at every moment.
  func check() {
    guard let lease = harness.interface else {
      #expect(harness.client.lease == nil)
      return
    }
    #expect(harness.client.lease == lease)
    #expect(harness.now_ms <= lease.end_ms, "an address is used after its lease")
    #expect(harness.client.state == .down || harness.timer_ms.map { $0 <= lease.end_ms } ?? false, "nothing will end the lease")
  }
}

@Suite struct SimulatedNetworkTests {
  /// Whatever the link does: no address is used beyond what the server granted, the client never floods, and when the faults stop it
  /// has a lease within minutes.
  @Test(arguments: 0..<60) func survivesABadNetwork(_ seed: Int) throws {
    var network = try SimulatedNetwork(seed: UInt64(seed))
    network.harness.feed(.linkUp)
    for _ in 0..<40 {
      switch Int.random(in: 0..<8, using: &network.random) {
      case 0: network.serverIsUp = false
      case 1, 2: network.serverIsUp = true
      case 3: network.firstHost = UInt32.random(in: 20...60, using: &network.random)
      case 4: network.server = ip(Bool.random(using: &network.random) ? "192.168.7.1" : "192.168.7.2")
      case 5: network.harness.feed(.linkDown)
      case 6: network.harness.feed(.linkUp)
      default: network.lease_s = UInt32.random(in: 120...3_000, using: &network.random)
      }
      try network.run(for: UInt64.random(in: 1_000...900_000, using: &network.random))
    }
    let hours = Double(network.harness.now_ms) / 3_600_000
    // One packet in 4 s would be 900 an hour; quiet spells make it far less, NAKs a little more.
    #expect(Double(network.harness.sent.count) < 20 + 900 * hours, "\(network.harness.sent.count) packets in \(hours) h")

    network.isFaulty = false
    network.serverIsUp = true
    network.lease_s = 600
    network.harness.feed(.linkUp)
    // The end of the longest lease, plus the longest back-off: afterwards nothing of the faults is left.
    try network.run(for: 3_200_000)
    let lease = try #require(network.harness.interface, "no lease: \(network.harness.client.state)")
    #expect(lease.address == IPv4Address(rawValue: 0xc0a8_0700 + network.firstHost) && lease.server == network.server)
    #expect(lease.end_ms <= network.granted[lease.address, default: 0], "the client believes in a longer lease than was granted")
  }

  /// Ten years with one server: the address is never dropped.
  @Test func longUptime() throws {
    var network = try SimulatedNetwork(seed: 99)
    network.isFaulty = false
    network.lease_s = 86_400
    network.harness.feed(.linkUp)
    for _ in 0..<10 { try network.run(for: 365 * 86_400_000) }
    #expect(network.harness.interface != nil && network.harness.drops == 0)
    // Two renewals a day and a few packets to begin with.
    #expect((7_290...7_310).contains(network.harness.sent.count), "\(network.harness.sent.count)")
  }
}
