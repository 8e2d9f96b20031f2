import Foundations
import Testing

@testable import SupervisorLink

/// A seeded generator (SplitMix64, Steele et al. 2014), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

extension SeededGenerator {
  mutating func name() -> ShortName {
    let length = Int.random(in: 1...31, using: &self)
    let bytes = (0..<length).map { _ in UInt8.random(in: 0x21...0x7e, using: &self) }
    return ShortName(String(decoding: bytes, as: UTF8.self)) ?? .unnamed
  }
  /// At most `maximum` bytes, of scalars of all widths.
  mutating func text(_ maximum: Int) -> String {
    var text = ""
    for _ in 0..<Int.random(in: 0...maximum, using: &self) {
      let widths: [ClosedRange<UInt32>] = [0...0x7f, 0x80...0x7ff, 0x800...0xd7ff, 0x1_0000...0x10_ffff]
      if let scalar = Unicode.Scalar(UInt32.random(in: widths.randomElement(using: &self) ?? 0...0x7f, using: &self)) {
        text.unicodeScalars.append(scalar)
      }
    }
    return SupervisorPacket.cut(text, to: maximum)
  }
  mutating func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: choices.indices, using: &self)] }
  mutating func number32() -> UInt32 { pick([0, 1, .max, UInt32.random(in: 0 ... .max, using: &self)]) }
  mutating func number64() -> UInt64 { pick([0, 1, .max, UInt64.random(in: 0 ... .max, using: &self)]) }

  mutating func bytes(_ count: ClosedRange<Int>) -> [UInt8] {
    (0..<Int.random(in: count, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
  mutating func addresses() -> [NetworkAddress] {
    (0..<Int.random(in: 0...4, using: &self)).compactMap { _ in NetworkAddress(bytes: bytes(pick([4...4, 16...16]))) }
  }
  mutating func destination() -> CloudDestination? {
    CloudDestination(host: pick(["broker.example", "b", "192.0.2.7", "fd00::7"]), port: UInt16.random(in: 1...65_535, using: &self))
  }

  mutating func peers() -> PeerDestinations {
    let list = addresses().compactMap { PeerDestinations.Destination(address: $0, port: UInt16.random(in: 1...65_535, using: &self)) }
    return PeerDestinations(list) ?? .none
  }

  mutating func supervisorMessage() -> SupervisorMessage {
    switch Int.random(in: 0..<19, using: &self) {
    case 0: .started(count: number32(), cause: pick([.boot, .ended, .hung, .violation]))
    case 1:
      .phase(
        PhaseReport(
          name: name(), started_us: number64(), duration_us: number64(), outcome: pick([.done, .skipped, .failed]), detail: text(96)))
    case 2: .phasesComplete
    case 3: .line(name: name(), isOutput: .random(using: &self), value: .random(using: &self))
    case 4: .input(name: name(), value: .random(using: &self), at_us: number64())
    case 5: .answer(request: number32(), pick([.done, .unknownName, .refused, .failed, .notInThisGrade, .stale, .notPermitted, .busy]))
    case 6: .link(up: .random(using: &self))
    case 7:
      .rootOfTrust(
        RootOfTrustReport(
          kind: pick([.none, .tpm2, .development]), manufacturer: text(16),
          secureBootState: pick([[], (0..<32).map { _ in UInt8.random(in: 0...255, using: &self) }])))
    case 8: .log(level: pick(LogLevel.allCases), at_us: number64(), text: text(160))
    case 9:
      .grade(
        GradeReport(
          grade: pick(Grade.allCases), cause: pick(GradeCause.allCases), event: number64(), at_us: number64(), decay_ms: number32(),
          nonce: bytes(32...32), evidence: text(120)))
    case 10: destination().map { .destination(DestinationReport(destination: $0, addresses: addresses())) } ?? .phasesComplete
    case 11: .peers(peers())
    case 15: .wipeWanted
    case 12:
      .storage(
        StorageReport(
          state: pick(StorageReport.State.allCases), cipher: text(48), rootOfTrust: pick([.none, .tpm2, .development]),
          identityEpoch: number64(), reason: text(160),
          recoveryKey: .random(using: &self) ? RecoveryKeyReport(fingerprint: bytes(8...8), ordered_s: Int64(bitPattern: number64())) : nil,
          recoveryChange: pick(StorageReport.RecoveryChange.allCases)))
    case 13: .identityKey(bytes(0...128))
    case 14: .signature(request: number32(), bytes(0...80))
    case 16: .discovery(isOn: .random(using: &self))
    case 17: .recoveryOffer(publicKey: bytes(32...32))
    default: .shutdown(grace_ms: number32())
    }
  }

  mutating func runtimeMessage() -> RuntimeMessage {
    switch Int.random(in: 0..<20, using: &self) {
    case 0: return .ready
    case 1: return .heartbeat(number64())
    case 2: return .setOutput(request: number32(), name: name(), value: .random(using: &self))
    case 3:
      guard let prefix = IPv4Prefix(address: number32(), prefixLength: UInt8.random(in: 0...32, using: &self)) else { return .ready }
      let resolvers = (0..<Int.random(in: 0...3, using: &self)).map { _ in number32() }
      return .applyLease(
        request: number32(), NetworkLease(prefix: prefix, router: number32(), resolvers: resolvers, valid_s: number32()))
    case 4: return .dropLease(request: number32())
    case 5: return .setHostName(request: number32(), name())
    case 6: return .raiseGrade(request: number32(), pick(Grade.allCases), pick(GradeCause.allCases), evidence: text(120))
    case 7: return .pinOwner(request: number32(), device: bytes(10...10), certificate: bytes(0...1_024))
    case 8:
      let statement = SignedStatement(
        kind: pick(StatementKind.allCases), event: number64(), nonce: bytes(32...32), body: bytes(0...66), certificate: bytes(0...1_024),
        signature: bytes(0...80))
      return statement.map { .statement(request: number32(), $0) } ?? .ready
    case 9: return .destinationAddresses(request: number32(), addresses())
    case 10: return .allowWipe(request: number32())
    case 11: return .revocations(request: number32(), bytes(0...11_000))
    case 12:
      let word = pick([AuditWord("a"), AuditWord("a-word-that-is-much-longer-than-any-word-of-a-log-may-be")])
      let kind = pick(AuditEvent.Kind.allCases.filter(\.isRuntimes))
      return .audit(device: bytes(10...10), AuditEvent(kind, .word(word), .number(number64()), .word(word), .word(word)))
    case 13: return .exportAudit(request: number32())
    case 14: return .commitIdentity(request: number32())
    case 15: return .sign(request: number32(), digest: bytes(32...32))
    case 16:
      guard let from = peers().list.first, let to = addresses().first else { return .ready }
      return .peerMoved(request: number32(), from: from, to: to)
    case 17: return .remakeStorage(request: number32())
    case 18: return .recoveryOffer(request: number32())
    default: return .log(level: pick(LogLevel.allCases), source: name(), text: text(160))
    }
  }
}

@Suite("The binary form of the link")
struct SupervisorLinkTests {
  @Test("every message comes back as it was, in a packet of its kind's one size", arguments: [1, 2, 3] as [UInt64])
  func roundTrip(seed: UInt64) async throws {
    var generator = SeededGenerator(seed: seed)
    for round in 0..<5_000 {
      // The tests share two threads on a small machine: those that wait for an answer get their turn.
      if round % 100 == 0 { await Task.yield() }
      let down = generator.supervisorMessage()
      let downPacket = SupervisorPacket.encode(down)
      #expect(downPacket.count == SupervisorPacket.size)
      #expect(try SupervisorPacket.decodeSupervisorMessage(downPacket) == down)

      let up = generator.runtimeMessage()
      let upPacket = SupervisorPacket.encode(up)
      #expect(upPacket.count == SupervisorPacket.size(ofKind: upPacket[1]))
      #expect(try SupervisorPacket.decodeRuntimeMessage(upPacket) == up)
    }
  }

  /// There is one form for each message: what decodes encodes to the same bytes, so a changed packet is refused or means something else.
  @Test("100,000 random and mutated packets are refused or are exactly one message", arguments: [11, 12] as [UInt64])
  func mutations(seed: UInt64) async {
    var generator = SeededGenerator(seed: seed)
    var decoded = 0
    for round in 0..<50_000 {
      if round % 1_000 == 0 { await Task.yield() }
      var packet: [UInt8]
      switch round % 4 {
      case 0:
        packet = (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      case 1:
        packet = [UInt8](repeating: 0, count: SupervisorPacket.size)
        packet[0] = SupervisorPacket.version
        packet[1] = generator.pick([UInt8](0x01...0x0c) + [0x20, 0x21] + [UInt8](0x81...0x8b) + [0xa0])
        packet += [UInt8](repeating: 0, count: SupervisorPacket.size(ofKind: packet[1]) - packet.count)
        for index in 2..<Int.random(in: 2...SupervisorPacket.size, using: &generator) { packet[index] = UInt8.random(in: 0...3, using: &generator) }
      default:
        packet =
          round % 4 == 2 ? SupervisorPacket.encode(generator.supervisorMessage()) : SupervisorPacket.encode(generator.runtimeMessage())
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          packet[Int.random(in: packet.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        if generator.pick([true, false, false]) { packet = Array(packet.prefix(Int.random(in: 0...256, using: &generator))) }
      }
      if let message = try? SupervisorPacket.decodeSupervisorMessage(packet) {
        decoded += 1
        #expect(SupervisorPacket.encode(message) == packet)
      }
      if let message = try? SupervisorPacket.decodeRuntimeMessage(packet) {
        decoded += 1
        #expect(SupervisorPacket.encode(message) == packet)
      }
    }
    // The mutations are gentle enough to reach the decoders' inner parts.
    #expect(decoded > 100)
  }

  @Test("a packet of one direction is refused in the other")
  func directions() {
    #expect(refusal(ofRuntime: SupervisorPacket.encode(.phasesComplete)) == "packet-kind")
    #expect(refusal(ofSupervisor: SupervisorPacket.encode(.ready)) == "packet-kind")
  }

  @Test("what is not one whole known packet is refused with its reason")
  func refusals() {
    let ready = SupervisorPacket.encode(.ready)
    #expect(refusal(ofRuntime: []) == "packet-size")
    #expect(refusal(ofRuntime: Array(ready.dropLast())) == "packet-size")
    #expect(refusal(ofRuntime: ready + [0]) == "packet-size")
    #expect(refusal(ofRuntime: changed(ready, at: 0, to: 2)) == "packet-version")
    #expect(refusal(ofRuntime: changed(ready, at: 1, to: 0xff)) == "packet-kind")
    // A kind that carries a certificate comes in a large packet only, and no other does.
    #expect(refusal(ofRuntime: changed(ready, at: 1, to: 0x89)) == "packet-size")
    #expect(refusal(ofRuntime: ready + [UInt8](repeating: 0, count: 1_024)) == "packet-size")
    #expect(refusal(ofRuntime: changed(ready, at: 2, to: 1)) == "packet-padding")
    #expect(refusal(ofRuntime: changed(ready, at: 255, to: 1)) == "packet-padding")
    let relay = packet("01 83 00000007 05 72656c6179 01")
    #expect(refusal(ofRuntime: relay) == nil)
    #expect(refusal(ofRuntime: changed(relay, at: 6, to: 0)) == "packet-field")  // no name
    #expect(refusal(ofRuntime: changed(relay, at: 6, to: 32)) == "packet-field")  // a name that is too long
    #expect(refusal(ofRuntime: changed(relay, at: 7, to: 0x20)) == "packet-field")  // a space in it
    #expect(refusal(ofRuntime: changed(relay, at: 7, to: 0xff)) == "packet-field")  // not UTF-8
    #expect(refusal(ofRuntime: changed(relay, at: 12, to: 2)) == "packet-field")  // neither on nor off
    #expect(refusal(ofRuntime: packet("01 84 00000001 c0000201 21 00000000 00 00000e10")) == "packet-field")  // prefix of 33 bits
    #expect(refusal(ofRuntime: packet("01 84 00000001 c0000201 18 00000000 04 00000e10")) == "packet-field")  // four resolvers
    #expect(refusal(ofRuntime: packet("01 87 05 03 617069 00")) == "packet-field")  // a level beyond error
    #expect(refusal(ofRuntime: packet("01 87 04 03 617069 02 c3 28")) == "packet-field")  // broken UTF-8
    #expect(refusal(ofRuntime: packet("01 87 04 03 617069 a1")) == "packet-field")  // 161 bytes of text
    #expect(refusal(ofRuntime: packet("01 88 00000001 04 01 00")) == "packet-field")  // a grade beyond locked
    #expect(refusal(ofRuntime: packet("01 8b 00000001 05")) == "packet-field")  // five addresses
    #expect(refusal(ofRuntime: packet("01 8b 00000001 01 05 0102030405")) == "packet-field")  // an address of five bytes
    #expect(refusal(ofRuntime: packet("01 89 00000001 00112233445566778899 0401")) == "packet-field")  // a certificate of 1,025 bytes
    #expect(refusal(ofRuntime: packet("01 a0 00000001" + String(repeating: "aa", count: 33))) == "packet-padding")  // a digest of 33 bytes
    #expect(refusal(ofSupervisor: packet("01 21 00000001 51")) == "packet-field")  // a signature of 81 bytes
    #expect(refusal(ofSupervisor: packet("01 20 81")) == "packet-field")  // a public key of 129 bytes
    #expect(refusal(ofSupervisor: packet("01 0c 01 42 22b3 00")) == "packet-field")  // a host in upper case
    #expect(refusal(ofSupervisor: packet("01 0c 01 62 0000 00")) == "packet-field")  // port 0
    #expect(refusal(ofSupervisor: packet("01 08 01 04 49424d20 1f " + String(repeating: "aa ", count: 31))) == "packet-field")  // half a digest
  }

  @Test("texts that are too long are cut between Unicode scalars")
  func cuts() throws {
    #expect(SupervisorPacket.cut("abc", to: 2) == "ab")
    #expect(SupervisorPacket.cut("a해b", to: 3) == "a")
    #expect(SupervisorPacket.cut("a해b", to: 4) == "a해")
    let long = String(repeating: "해", count: 100)
    guard case .log(_, _, let text) = try SupervisorPacket.decodeRuntimeMessage(SupervisorPacket.encode(.log(level: .info, source: .unnamed, text: long)))
    else { return #expect(Bool(false), "not a log message") }
    #expect(text == String(repeating: "해", count: 53))
  }

  @Test("the largest messages fit")
  func largest() {
    let name = ShortName(String(repeating: "n", count: 31)) ?? .unnamed
    let phase = PhaseReport(
      name: name, started_us: .max, duration_us: .max, outcome: .failed, detail: String(repeating: "d", count: 96))
    let log = RuntimeMessage.log(level: .error, source: name, text: String(repeating: "t", count: 160))
    let statement = SignedStatement(
      kind: .bindCloud, event: .max, nonce: [UInt8](repeating: 1, count: 32), body: [UInt8](repeating: 1, count: 66),
      certificate: [UInt8](repeating: 1, count: 1_024), signature: [UInt8](repeating: 1, count: 80))
    #expect(statement.map { SupervisorPacket.encode(.statement(request: .max, $0)).last } == 0)
    // The last byte of a packet that was not cut is padding.
    #expect(SupervisorPacket.encode(.phase(phase)).last == 0)
    #expect(SupervisorPacket.encode(log).last == 0)
  }

  private func refusal(ofRuntime packet: [UInt8]) -> String? {
    do throws(LinkError) {
      _ = try SupervisorPacket.decodeRuntimeMessage(packet)
      return nil
    } catch {
      return error.code
    }
  }
  private func refusal(ofSupervisor packet: [UInt8]) -> String? {
    do throws(LinkError) {
      _ = try SupervisorPacket.decodeSupervisorMessage(packet)
      return nil
    } catch {
      return error.code
    }
  }
  private func changed(_ packet: [UInt8], at index: Int, to value: UInt8) -> [UInt8] {
    var copy = packet
    copy[index] = value
    return copy
  }
}

/// Hexadecimal digits with spaces, filled up with zeros to a whole packet.
func packet(_ digits: String) -> [UInt8] {
  let fields = bytes(hexadecimal: digits.filter { $0 != " " }) ?? []
  return fields + [UInt8](repeating: 0, count: SupervisorPacket.size(ofKind: fields.dropFirst().first ?? 0) - fields.count)
}
