import Foundations
import Testing

@testable import SupervisorLink

/// Each kind of packet once, field by field. A change here is a change of the link's version.
@Suite("Packets, byte by byte")
struct PacketFixtureTests {
  @Test("from the supervisor")
  func supervisor() throws {
    // version 1, kind 01 started: count 3, cause 2 (hung)
    try expect("01 01 00000003 02", .started(count: 3, cause: .hung))
    // kind 02 phase: name of 5 bytes "mount", started 1,000,000 us, took 256 us, outcome 2 (failed), detail of 4 bytes "busy"
    try expect(
      "01 02 05 6d6f756e74 00000000000f4240 0000000000000100 02 04 62757379",
      .phase(PhaseReport(name: name("mount"), started_us: 1_000_000, duration_us: 256, outcome: .failed, detail: "busy")))
    // kind 03 phasesComplete: nothing
    try expect("01 03", .phasesComplete)
    // kind 04 line: name "relay", is an output, is off
    try expect("01 04 05 72656c6179 01 00", .line(name: name("relay"), isOutput: true, value: false))
    // kind 05 input: name "button", on, at 2^32 us
    try expect("01 05 06 627574746f6e 01 0000000100000000", .input(name: name("button"), value: true, at_us: 1 << 32))
    // kind 06 answer: request 0xa1b2c3d4, outcome 1 (unknown name)
    try expect("01 06 a1b2c3d4 01", .answer(request: 0xa1b2_c3d4, .unknownName))
    // kind 07 link: up
    try expect("01 07 01", .link(up: true))
    // kind 08 root of trust: kind 1 (TPM 2), maker of 4 bytes "IBM ", 32 bytes of PCR 7
    try expect(
      "01 08 01 04 49424d20 20 " + String(repeating: "5a", count: 32),
      .rootOfTrust(RootOfTrustReport(kind: .tpm2, manufacturer: "IBM ", secureBootState: [UInt8](repeating: 0x5a, count: 32))))
    // kind 09 log: level 3 (warning), at 5 us, text of 3 bytes "해"
    try expect("01 09 03 0000000000000005 03 ed95b4", .log(level: .warning, at_us: 5, text: "해"))
    // kind 0a shutdown: 2,000 ms
    try expect("01 0a 000007d0", .shutdown(grace_ms: 2_000))
    // kind 0b grade: 2 (quarantined), cause 5 (undeclared egress), event 3, since 256 us, ends by itself after 0 ms (never), 32 bytes of nonce,
    // evidence of 2 bytes "7p"
    try expect(
      "01 0b 02 05 0000000000000003 0000000000000100 00000000 " + String(repeating: "c3", count: 32) + " 02 3770",
      .grade(
        GradeReport(
          grade: .quarantined, cause: .undeclaredEgress, event: 3, at_us: 256, decay_ms: 0, nonce: [UInt8](repeating: 0xc3, count: 32), evidence: "7p")))
    // kind 0c destination: host of 3 bytes "b.x", port 8883, two addresses: 4 bytes 10.0.2.2, 16 bytes fd00::1
    let destination = try #require(CloudDestination(host: "b.x", port: 8883))
    let addresses = try [#require(NetworkAddress("10.0.2.2")), #require(NetworkAddress("fd00::1"))]
    try expect(
      "01 0c 03 622e78 22b3 02 04 0a000202 10 fd000000000000000000000000000001",
      .destination(DestinationReport(destination: destination, addresses: addresses)))
    // kind 0d peers: 26 bytes: 4 bytes 10.0.2.2, port 8443; 16 bytes fd00::1, port 443
    let places = try zip(addresses, [8_443, 443] as [UInt16]).map { try #require(PeerDestinations.Destination(address: $0, port: $1)) }
    try expect(
      "01 0d 1a 04 0a000202 20fb 10 fd000000000000000000000000000001 01bb", .peers(#require(PeerDestinations(places))))
  }

  @Test("discovery")
  func discovery() throws {
    // kind 11 discovery: on
    try expect("01 11 01", .discovery(isOn: true))
  }

  @Test("the storage, both ways")
  func storage() throws {
    // kind 14 wipe wanted: nothing else
    try expect("01 14", .wipeWanted)
    // kind 10 storage: state 3 (locked), cipher of 0 bytes, root of trust 1 (TPM 2), identity epoch 7, reason of 2 bytes "no", no recovery key, no change of it
    try expect("01 10 03 00 01 0000000000000007 02 6e6f", .storage(StorageReport(state: .locked, rootOfTrust: .tpm2, identityEpoch: 7, reason: "no")))
    // kind 10 storage: state 1 (open), cipher of 3 bytes "aes", root of trust 1, identity epoch 7, no reason, a recovery key: fingerprint of 8 bytes, ordered at
    // 65,536 s; change 1 (made)
    try expect(
      "01 10 01 03 616573 01 0000000000000007 00 01 0102030405060708 0000000000010000 01",
      .storage(
        StorageReport(
          state: .open, cipher: "aes", rootOfTrust: .tpm2, identityEpoch: 7,
          recoveryKey: RecoveryKeyReport(fingerprint: [1, 2, 3, 4, 5, 6, 7, 8], ordered_s: 65_536), recoveryChange: .made)))
    // kind 18 recovery offer: 32 bytes of a public key
    try expect("01 18 " + String(repeating: "a5", count: 32), .recoveryOffer(publicKey: [UInt8](repeating: 0xa5, count: 32)))
    // kind 99 recovery offer: request 19
    try expect("01 99 00000013", .recoveryOffer(request: 19))
    // kind 90 commit identity: request 11
    try expect("01 90 0000000b", .commitIdentity(request: 11))
  }

  @Test("the device's own key, both ways")
  func identityKey() throws {
    // kind 20 identity key: a public key of 3 bytes
    try expect("01 20 03 305906", .identityKey([0x30, 0x59, 0x06]))
    // kind 21 signature: request 12, of 4 bytes
    try expect("01 21 0000000c 04 30060201", .signature(request: 12, [0x30, 0x06, 0x02, 0x01]))
    // kind a0 sign: request 12, a digest of 32 bytes
    try expect("01 a0 0000000c " + String(repeating: "d1", count: 32), .sign(request: 12, digest: [UInt8](repeating: 0xd1, count: 32)))
  }

  @Test("from the runtime")
  func runtime() throws {
    // version 1, kind 81 ready: nothing
    try expect("01 81", .ready)
    // kind 82 heartbeat: 258
    try expect("01 82 0000000000000102", .heartbeat(258))
    // kind 83 set output: request 7, name "relay", on
    try expect("01 83 00000007 05 72656c6179 01", .setOutput(request: 7, name: name("relay"), value: true))
    // kind 84 apply lease: request 9, 10.0.2.15, /24, router 10.0.2.2, one resolver 10.0.2.3, 86,400 s
    let prefix = try #require(IPv4Prefix(address: 0x0a00_020f, prefixLength: 24))
    try expect(
      "01 84 00000009 0a00020f 18 0a000202 01 0a000203 00015180",
      .applyLease(request: 9, NetworkLease(prefix: prefix, router: 0x0a00_0202, resolvers: [0x0a00_0203], valid_s: 86_400)))
    // kind 85 drop lease: request 10
    try expect("01 85 0000000a", .dropLease(request: 10))
    // kind 86 set host name: request 11, "h-1"
    try expect("01 86 0000000b 03 682d31", .setHostName(request: 11, name("h-1")))
    // kind 87 log: level 1 (info), source "api", text of 2 bytes "ok"
    try expect("01 87 01 03 617069 02 6f6b", .log(level: .info, source: name("api"), text: "ok"))
    // kind 88 raise grade: request 12, 1 (restricted), cause 1 (authentication failures), evidence of 2 bytes "21"
    try expect("01 88 0000000c 01 01 02 3231", .raiseGrade(request: 12, .restricted, .authenticationFailures, evidence: "21"))
    // kind 89 pin owner (a large packet): request 13, 10 bytes of device id, certificate of 3 bytes
    try expect(
      "01 89 0000000d 00112233445566778899 0003 308201",
      .pinOwner(request: 13, device: Array(bytes(hexadecimal: "00112233445566778899") ?? []), certificate: [0x30, 0x82, 0x01]))
    // kind 8a statement (a large packet): request 14, 2 (bind cloud), event 1, 32 bytes of nonce, body of 5 bytes (port 8883, "b.x"),
    // certificate of 1 byte, signature of 2 bytes
    let statement = try #require(
      SignedStatement(
        kind: .bindCloud, event: 1, nonce: [UInt8](repeating: 0xc3, count: 32), body: [0x22, 0xb3, 0x62, 0x2e, 0x78], certificate: [0x30],
        signature: [0x30, 0x45]))
    try expect(
      "01 8a 0000000e 02 0000000000000001 " + String(repeating: "c3", count: 32) + " 05 22b3622e78 0001 30 02 3045",
      .statement(request: 14, statement))
    // kind 8b destination addresses: request 15, one address of 4 bytes, 192.0.2.1
    try expect("01 8b 0000000f 01 04 c0000201", .destinationAddresses(request: 15, [#require(NetworkAddress("192.0.2.1"))]))
    // kind 8c wipe by label: request 16
    try expect("01 8c 00000010", .allowWipe(request: 16))
    // kind 8d revocations (a packet of the list's size): request 17, a list of 3 bytes
    try expect("01 8d 00000011 0003 308201", .revocations(request: 17, [0x30, 0x82, 0x01]))
    // kind 91 audit: 10 bytes of device id, an event of 9 bytes: kind 40 (serving), 1 value: a word (2) of 5 bytes, "owned"
    let device = Array(bytes(hexadecimal: "00112233445566778899") ?? [])
    try expect("01 91 00112233445566778899 09 40 01 02 05 6f776e6564", .audit(device: device, AuditEvent(.serving, .word(AuditWord("owned")))))
    // kind 92 export of the audit log: request 18
    try expect("01 92 00000012", .exportAudit(request: 18))
    // kind 93 a peer that moved: request 19, port 8443, two addresses: from 192.0.2.7, to 192.0.2.9; one alone is none, nor is port 0
    let from = try #require(PeerDestinations.Destination(address: NetworkAddress(ipv4: 0xc000_0207), port: 8_443))
    try expect("01 93 00000013 20fb 02 04 c0000207 04 c0000209", .peerMoved(request: 19, from: from, to: NetworkAddress(ipv4: 0xc000_0209)))
    #expect(throws: LinkError.self) { try SupervisorPacket.decodeRuntimeMessage(packet("01 93 00000013 20fb 01 04 c0000207")) }
    #expect(throws: LinkError.self) { try SupervisorPacket.decodeRuntimeMessage(packet("01 93 00000013 0000 02 04 c0000207 04 c0000209")) }
    // kind 98 new storage: request 19
    try expect("01 98 00000013", .remakeStorage(request: 19))
    // An event of another's kind (2, shutdown) is not the runtime's.
    #expect(throws: LinkError.self) { try SupervisorPacket.decodeRuntimeMessage(packet("01 91 00112233445566778899 02 02 00")) }
  }

  private func expect(_ digits: String, _ message: SupervisorMessage) throws {
    #expect(SupervisorPacket.encode(message) == packet(digits))
    #expect(try SupervisorPacket.decodeSupervisorMessage(packet(digits)) == message)
  }
  private func expect(_ digits: String, _ message: RuntimeMessage) throws {
    #expect(SupervisorPacket.encode(message) == packet(digits))
    #expect(try SupervisorPacket.decodeRuntimeMessage(packet(digits)) == message)
  }
  private func name(_ text: String) -> ShortName { ShortName(text) ?? .unnamed }
}
