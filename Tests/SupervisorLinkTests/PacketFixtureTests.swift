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
