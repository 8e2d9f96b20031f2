import Foundations
import Network
import Testing

@Suite struct DHCPClientTests {
  // MARK: Getting a lease

  @Test func discoverSaysWhatItMust() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    #expect(harness.client.state == .initializing)
    #expect(harness.sent.isEmpty)
    harness.fire()
    #expect(harness.client.state == .selecting)
    let message = try #require(harness.lastMessage)
    #expect(harness.sent.last?.to == .broadcast)
    #expect(message.type == .discover)
    #expect(message.operation == .request)
    #expect(message.broadcast)
    #expect(message.clientAddress == .unspecified)
    #expect(message.hardwareAddress == hardwareAddress)
    #expect(message.value(61) == [1] + hardwareAddress)
    #expect(message.value(12) == Array("haechi-test".utf8))
    #expect(message.value(57) == [0x05, 0xc0])
    #expect(message.value(55) == [1, 3, 6, 51, 58, 59])
    #expect(message.value(50) == nil && message.value(54) == nil)
  }

  @Test func initialDelayIsBounded() throws {
    for seed in 0..<50 {
      var harness = try ClientHarness(seed: UInt64(seed))
      harness.feed(.linkUp)
      #expect((harness.now_ms...harness.now_ms + 1_000).contains(try #require(harness.timer_ms)))
    }
  }

  @Test func backOffDoublesWithJitter() throws {
    var waits: [[UInt64]] = []
    for seed in 0..<40 {
      var harness = try ClientHarness(seed: UInt64(seed))
      harness.feed(.linkUp)
      for _ in 0..<8 { harness.fire() }
      waits.append(zip(harness.sent, harness.sent.dropFirst()).map { $1.time_ms - $0.time_ms })
      // `secs` counts and xid stays.
      #expect(Set(harness.sent.map(\.message.transaction)).count == 1)
      #expect(harness.sent.map(\.message.elapsed_s) == harness.sent.map(\.message.elapsed_s).sorted())
    }
    for (step, base) in [4_000, 8_000, 16_000, 32_000, 64_000, 64_000, 64_000].enumerated() {
      let seen = waits.map { $0[step] }
      #expect(seen.allSatisfy { (UInt64(base - 1_000)...UInt64(base + 1_000)).contains($0) }, "step \(step): \(seen)")
      #expect(Set(seen).count > 10)
    }
  }

  @Test func offerIsRequestedAndBound() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    let discover = try #require(harness.lastMessage)
    harness.now_ms += 700
    try harness.receive(ServerAnswer().reply(.offer, to: discover))
    #expect(harness.client.state == .requesting)
    let request = try #require(harness.lastMessage)
    let requestTime_ms = harness.now_ms
    #expect(request.type == .request)
    #expect(request.transaction == discover.transaction)
    #expect(request.elapsed_s == discover.elapsed_s)
    #expect(request.broadcast && harness.sent.last?.to == .broadcast)
    #expect(request.clientAddress == .unspecified)
    #expect(request.address(50) == ip("192.168.7.20"))
    #expect(request.address(54) == ip("192.168.7.1"))
    harness.now_ms += 900
    try harness.receive(ServerAnswer().reply(.ack, to: request))
    #expect(harness.client.state == .bound)
    let lease = try #require(harness.interface)
    #expect(lease.address == ip("192.168.7.20") && lease.prefixLength == 24)
    #expect(lease.router == ip("192.168.7.1"))
    #expect(lease.resolvers.resolvers == [ip("192.168.7.1"), ip("9.9.9.9")])
    #expect(lease.start_ms == requestTime_ms)
    #expect((lease.renewal_s, lease.rebinding_s) == (1_800, 3_150))
    #expect(harness.timer_ms == requestTime_ms + 1_800_000)
    #expect(harness.client.lease == lease)
  }

  @Test func unansweredRequestStartsOver() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    try harness.receive(ServerAnswer().reply(.offer, to: harness.lastMessage!))
    let first = harness.lastMessage
    let count = harness.sent.count
    #expect(harness.fire(atMost: 10) { $0.client.state == .initializing })
    #expect(harness.sent.count == count + 3)
    #expect(harness.sent.suffix(4).allSatisfy { $0.message == first })
    harness.fire()
    #expect(harness.lastMessage?.type == .discover)
    #expect(harness.lastMessage?.transaction != first?.transaction)
    #expect(harness.interface == nil && harness.drops == 0)
  }

  // MARK: Whom and what it believes

  static let refusedOffers: [(String, @Sendable (inout ServerAnswer) -> Void)] = [
    ("names no server", { $0.server = nil }),
    ("cannot be a server", { $0.server = ip("255.255.255.255") }),
    ("no host can have", { $0.address = .unspecified }),
    ("no host can have", { $0.address = ip("127.0.0.1") }),
    ("no host can have", { $0.address = ip("224.0.0.5") }),
    ("no host can have", { $0.address = ip("169.254.1.1") }),
    ("no subnet mask", { $0.mask = nil }),
    ("has holes", { $0.mask = ip("255.0.255.0") }),
    ("not between", { $0.mask = ip("254.0.0.0") }),
    ("not between", { $0.mask = .broadcast }),
    ("not between", { $0.mask = .unspecified }),
    ("broadcast address", { $0.address = ip("192.168.7.255") }),
    ("broadcast address", { $0.address = ip("192.168.7.0") }),
    ("no lease time", { $0.lease_s = nil }),
    ("shorter than 120 s", { $0.lease_s = 119 }),
    ("shorter than 120 s", { $0.lease_s = 0 }),
  ]

  @Test(arguments: refusedOffers) func badOfferIsRefused(_ reason: String, _ change: @Sendable (inout ServerAnswer) -> Void) throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    let discover = harness.lastMessage!
    try harness.receive(ServerAnswer().with(change).reply(.offer, to: discover))
    #expect(harness.client.state == .selecting)
    #expect(harness.logged(reason), "\(harness.log.map(\.text))")
    // A good one afterwards is taken; the bad one as an acknowledgement is not.
    try harness.receive(ServerAnswer().reply(.offer, to: discover))
    #expect(harness.client.state == .requesting)
    try harness.receive(ServerAnswer().with(change).reply(.ack, to: harness.lastMessage!))
    #expect(harness.client.state == .requesting && harness.interface == nil)
  }

  static let foreign: [@Sendable (inout ServerAnswer) -> Void] = [
    { $0.transactionChange = 1 }, { $0.hardwareAddress = [2, 0, 0, 0, 0, 9] }, { $0.hardwareAddress = [2, 0, 0, 0xaa, 0xbb] },
    { $0.operation = .request },
  ]

  @Test(arguments: foreign) func othersExchangesAreNoEvent(_ change: @Sendable (inout ServerAnswer) -> Void) throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    let discover = harness.lastMessage!
    let lines = harness.log.count
    try harness.receive(ServerAnswer().with(change).reply(.offer, to: discover))
    #expect(harness.client.state == .selecting && harness.log.count == lines)
    try harness.receive(ServerAnswer().reply(.offer, to: discover))
    for type in [DHCPMessageType.ack, .nak] {
      try harness.receive(ServerAnswer().with(change).reply(type, to: harness.lastMessage!))
      #expect(harness.client.state == .requesting)
    }
  }

  @Test func onlyTheChosenServerMayAnswer() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    try harness.receive(ServerAnswer().reply(.offer, to: harness.lastMessage!))
    let other = ServerAnswer().with { $0.server = ip("192.168.7.9") }
    try harness.receive(other.reply(.ack, to: harness.lastMessage!))
    try harness.receive(other.reply(.nak, to: harness.lastMessage!))
    try harness.receive(ServerAnswer().with { $0.server = nil }.reply(.nak, to: harness.lastMessage!))
    try harness.receive(ServerAnswer().with { $0.address = ip("192.168.7.66") }.reply(.ack, to: harness.lastMessage!))
    #expect(harness.client.state == .requesting)
    try harness.receive(ServerAnswer().reply(.ack, to: harness.lastMessage!))
    #expect(harness.client.state == .bound)
  }

  @Test func routerThatIsNotOnTheLinkIsLeftOut() throws {
    var harness = try ClientHarness()
    try harness.bind(ServerAnswer().with { $0.routers = [ip("10.0.0.1"), ip("192.168.7.20"), ip("192.168.7.255")] })
    #expect(harness.interface != nil && harness.interface?.router == nil)
    #expect(harness.logged("router 10.0.0.1 is not on the link"))
    var second = try ClientHarness()
    try second.bind(ServerAnswer().with { $0.routers = [ip("10.0.0.1"), ip("192.168.7.254")] })
    #expect(second.interface?.router == ip("192.168.7.254"))
  }

  static let times: [(UInt32?, UInt32?, UInt32, UInt32)] = [
    (nil, nil, 1_800, 3_150), (600, 1_200, 600, 1_200), (600, nil, 600, 3_150), (nil, 2_000, 1_800, 2_000), (4, 5, 4, 5),
    // Out of order, too short, beyond the lease: the defaults.
    (3, 10, 1_800, 3_150), (0, 0, 1_800, 3_150), (1_000, 1_000, 1_800, 3_150), (2_000, 1_000, 1_800, 3_150), (100, 3_600, 1_800, 3_150),
    (.max, .max, 1_800, 3_150),
  ]

  @Test(arguments: times) func renewalTimesAreJudged(_ given: (UInt32?, UInt32?, UInt32, UInt32)) throws {
    var harness = try ClientHarness()
    try harness.bind(ServerAnswer().with { ($0.renewal_s, $0.rebinding_s) = (given.0, given.1) })
    #expect(harness.interface?.renewal_s == given.2)
    #expect(harness.interface?.rebinding_s == given.3)
  }

  @Test func floodOfBadPacketsIsLoggedAFewTimes() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    let lines = harness.log.count
    for _ in 0..<1_000 { harness.feed(.datagram([1, 2, 3])) }
    #expect(harness.log.count == lines + 8)
    #expect(harness.logged("further ones in this state are not logged"))
  }

  // MARK: Keeping it

  @Test func renewalIsUnicast() throws {
    var harness = try ClientHarness()
    try harness.bind()
    let start_ms = harness.interface!.start_ms
    harness.fire()
    #expect(harness.client.state == .renewing)
    #expect(harness.now_ms == start_ms + 1_800_000)
    let request = try #require(harness.lastMessage)
    #expect(harness.sent.last?.to == ip("192.168.7.1"))
    #expect(request.type == .request && request.clientAddress == ip("192.168.7.20") && !request.broadcast)
    #expect(request.value(50) == nil && request.value(54) == nil)
    // Another server's answer does not count, not even a NAK.
    let other = ServerAnswer().with { $0.server = ip("192.168.7.9") }
    try harness.receive(other.reply(.nak, to: request))
    try harness.receive(other.reply(.ack, to: request))
    #expect(harness.client.state == .renewing)
    harness.now_ms += 40
    try harness.receive(ServerAnswer().with { $0.lease_s = 7_200 }.reply(.ack, to: request))
    #expect(harness.client.state == .bound)
    #expect(harness.interface?.start_ms == start_ms + 1_800_000)
    #expect(harness.interface?.duration_s == 7_200)
    #expect(harness.drops == 0)
  }

  @Test func renewalRetriesAtHalfOfWhatIsLeft() throws {
    var harness = try ClientHarness()
    try harness.bind()
    let lease = harness.interface!
    let count = harness.sent.count
    #expect(harness.fire(atMost: 50) { $0.client.state == .rebinding })
    let renewals = harness.sent.dropFirst(count).dropLast()
    #expect(renewals.allSatisfy { $0.to == lease.server })
    // T1 = 1800, T2 = 3150: 1800, 2475, 2812, 2981, 3065 and after at least 60 s each.
    let seconds = renewals.map { ($0.time_ms - lease.start_ms) / 1_000 }
    #expect(seconds == [1_800, 2_475, 2_812, 2_981, 3_065, 3_125])
    #expect(Set(renewals.map(\.message.transaction)).count == renewals.count)
    #expect(harness.now_ms == lease.rebindingTime_ms)
    #expect(harness.sent.last?.to == .broadcast)
    #expect(harness.lastMessage?.clientAddress == lease.address)
  }

  @Test func anyServerMayRebind() throws {
    var harness = try ClientHarness()
    try harness.bind()
    #expect(harness.fire(atMost: 50) { $0.client.state == .rebinding })
    try harness.receive(ServerAnswer().with { $0.server = ip("192.168.7.9") }.reply(.ack, to: harness.lastMessage!))
    #expect(harness.client.state == .bound && harness.interface?.server == ip("192.168.7.9") && harness.drops == 0)
    harness.fire()
    #expect(harness.sent.last?.to == ip("192.168.7.9"))
  }

  @Test func leaseEndDropsTheAddress() throws {
    var harness = try ClientHarness()
    try harness.bind()
    let lease = harness.interface!
    #expect(harness.fire(atMost: 100) { $0.interface == nil })
    #expect(harness.now_ms == lease.end_ms && harness.drops == 1)
    #expect(harness.client.state == .initializing && harness.client.lease == nil)
    harness.fire()
    #expect(harness.lastMessage?.type == .discover)
  }

  /// The machine slept or the loop was late: what comes first after the end must not use the lease.
  @Test func lateTimerAndLatePacketAfterTheEnd() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.fire()
    let request = harness.lastMessage!
    harness.now_ms = harness.interface!.end_ms + 5_000
    try harness.receive(ServerAnswer().reply(.ack, to: request))
    #expect(harness.interface == nil && harness.drops == 1 && harness.client.state == .initializing)
  }

  @Test func acknowledgementOfALeaseThatIsOverIsRefused() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    harness.fire()
    try harness.receive(ServerAnswer().reply(.offer, to: harness.lastMessage!))
    harness.now_ms += 130_000
    try harness.receive(ServerAnswer().with { $0.lease_s = 120 }.reply(.ack, to: harness.lastMessage!))
    #expect(harness.client.state == .requesting && harness.logged("over already"))
  }

  @Test func infiniteLeaseNeedsNoTimer() throws {
    var harness = try ClientHarness()
    try harness.bind(ServerAnswer().with { $0.lease_s = .max })
    #expect(harness.client.state == .bound && harness.timer_ms == nil)
    #expect(harness.interface?.isInfinite == true && harness.interface?.remaining_s(now_ms: .max) == .max)
    harness.now_ms = .max - 1
    harness.feed(.timer)
    #expect(harness.interface != nil)
  }

  @Test(arguments: [UInt64.max - 1, UInt64.max - 100_000, UInt64.max - 4_000_000, 0] as [UInt64]) func clockNearItsEndNeverTraps(_ now_ms: UInt64) throws {
    var harness = try ClientHarness(now_ms: now_ms)
    harness.feed(.linkUp)
    harness.fire()
    for type in [DHCPMessageType.offer, .ack] {
      if let last = harness.lastMessage { try harness.receive(ServerAnswer().with { $0.lease_s = .max - 1 }.reply(type, to: last)) }
    }
    for _ in 0..<200 where harness.fire() {}
    harness.feed(.linkDown)
    harness.feed(.linkUp)
    #expect(harness.now_ms >= now_ms)
  }

  // MARK: NAK, link and failures

  @Test func nakWaitsLongerEachTime() throws {
    var harness = try ClientHarness()
    harness.feed(.linkUp)
    var waits: [UInt64] = []
    for _ in 0..<9 {
      #expect(harness.fire(atMost: 3) { $0.client.state == .selecting })
      try harness.receive(ServerAnswer().reply(.offer, to: harness.lastMessage!))
      try harness.receive(ServerAnswer().reply(.nak, to: harness.lastMessage!))
      #expect(harness.client.state == .initializing)
      waits.append(harness.timer_ms! - harness.now_ms)
    }
    for (wait, base) in zip(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64] as [UInt64]) {
      #expect((base * 1_000...base * 1_000 + 1_000).contains(wait), "\(waits)")
    }
  }

  @Test func nakWhileRenewingDropsTheAddress() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.fire()
    var nak = ServerAnswer().reply(.nak, to: harness.lastMessage!)
    nak.options.append(DHCPOption(code: DHCPOptionCode.message, value: Array("wrong network".utf8)))
    try harness.receive(nak)
    #expect(harness.interface == nil && harness.drops == 1 && harness.client.state == .initializing)
    #expect(harness.logged("\"wrong network\""))
  }

  @Test func linkLossKeepsTheAddressAndAsksAgain() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.feed(.linkDown)
    #expect(harness.client.state == .down && harness.interface != nil)
    #expect(harness.timer_ms == harness.interface?.end_ms)
    harness.now_ms += 10_000
    harness.feed(.linkUp)
    #expect(harness.client.state == .rebooting)
    let request = try #require(harness.lastMessage)
    #expect(request.address(50) == ip("192.168.7.20") && request.value(54) == nil)
    #expect(request.clientAddress == .unspecified && request.broadcast && harness.sent.last?.to == .broadcast)
    try harness.receive(ServerAnswer().with { $0.server = ip("192.168.7.9") }.reply(.ack, to: request))
    #expect(harness.client.state == .bound && harness.drops == 0)
  }

  @Test func nakAfterLinkLossMeansAnotherNetwork() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.feed(.linkDown)
    harness.feed(.linkUp)
    try harness.receive(ServerAnswer().with { $0.server = ip("10.1.1.1") }.reply(.nak, to: harness.lastMessage!))
    #expect(harness.interface == nil && harness.client.state == .initializing)
  }

  @Test func silenceAfterLinkLossUsesTheLeaseOn() throws {
    var harness = try ClientHarness()
    try harness.bind()
    let lease = harness.interface!
    harness.feed(.linkDown)
    harness.feed(.linkUp)
    #expect(harness.fire(atMost: 3) { $0.client.state == .bound })
    #expect(harness.interface == lease && harness.timer_ms == lease.renewalTime_ms)
    harness.fire()
    #expect(harness.client.state == .renewing)
  }

  @Test func leaseEndsWhileTheLinkIsDown() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.feed(.linkDown)
    harness.fire()
    #expect(harness.interface == nil && harness.client.state == .down && harness.timer_ms == nil)
    harness.feed(.linkUp)
    #expect(harness.client.state == .initializing)
  }

  @Test func linkDownSilencesEveryState() throws {
    for steps in 0..<4 {
      var harness = try ClientHarness()
      harness.feed(.linkUp)
      if steps > 0 { harness.fire() }
      if steps > 1 { try harness.receive(ServerAnswer().reply(.offer, to: harness.lastMessage!)) }
      let request = harness.lastMessage
      harness.feed(.linkDown)
      if steps > 2 { harness.feed(.linkDown) }
      let count = harness.sent.count
      #expect(harness.timer_ms == nil)
      if let request { try harness.receive(ServerAnswer().reply(.ack, to: request)) }
      harness.feed(.timer)
      #expect(harness.sent.count == count && harness.interface == nil && harness.client.state == .down)
    }
  }

  @Test func failureToApplyStartsOverLater() throws {
    var harness = try ClientHarness()
    try harness.bind()
    harness.feed(.applyFailed(reason: "no such device"))
    #expect(harness.drops == 1 && harness.client.lease == nil && harness.client.state == .initializing)
    #expect(harness.timer_ms! >= harness.now_ms + 1_000)
    #expect(harness.log.contains { $0.level == .error && $0.text.contains("no such device") })
    // Too late to matter.
    harness.feed(.applyFailed(reason: "again"))
    #expect(harness.drops == 1)
  }

  @Test func configurationIsJudged() {
    for address: [UInt8] in [[], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 0, 0x5e, 0, 0, 1], [UInt8](repeating: 255, count: 6)] {
      #expect(throws: DHCPConfigurationError.self) { try DHCPClientConfiguration(hardwareAddress: address, hostName: nil) }
    }
    for name in ["", "-a", "a-", "a.b", "a b", "ä", String(repeating: "a", count: 64)] {
      #expect(throws: DHCPConfigurationError.self) { try DHCPClientConfiguration(hardwareAddress: hardwareAddress, hostName: name) }
    }
  }
}
