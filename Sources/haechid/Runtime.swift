import Foundations
import Glibc
import LinuxProcess
import SupervisorLink

/// The runtime, inside its sandbox and still with one thread: it answers the supervisor and shows that it lives.
///
/// - Parameter notes: what the kernel of a development host lacks, for the log.
func runRuntime(_ start: RuntimeStart, notes: [String]) -> Never {
  let link = PacketSocket(taking: Descriptors.link)
  let source = ShortName("runtime") ?? .unnamed
  for note in notes { _ = link.send(SupervisorPacket.encode(.log(level: .warning, source: source, text: note))) }
  _ = link.send(SupervisorPacket.encode(.ready))

  let heartbeat_us: UInt64 = 1_000_000
  var count: UInt64 = 0
  var next_us: UInt64 = 0
  while true {
    let now_us = BootClock.now_us()
    if now_us >= next_us {
      count += 1
      next_us = now_us + heartbeat_us
      _ = link.send(SupervisorPacket.encode(.heartbeat(count)))
    }
    Descriptors.wait(inputs: [link.descriptor], output: nil, timeout_ms: UInt32((next_us - now_us) / 1_000) + 1)
    switch link.receive(maximum: SupervisorPacket.size) {
    case .empty: continue
    case .closed: exit(EX_OSERR)
    case .packet(let bytes):
      if case .shutdown? = try? SupervisorPacket.decodeSupervisorMessage(bytes) { exit(EX_OK) }
    }
  }
}
