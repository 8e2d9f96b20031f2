import Foundations
import Glibc
import LinuxProcess
import SupervisorLink

/// Gives up every right that the runtime does not need, then runs it.
func runAsRuntime(arguments: [String]) -> Never {
  // Only the supervisor makes such a socket and is at the same time the parent.
  guard let supervisor = PacketSocket.maker(of: Descriptors.link), supervisor == getppid(), let start = RuntimeStart(arguments: arguments) else {
    complain("the role \(RuntimeStart.role) is the supervisor's to start: run haechid without it, or see haechid --help")
    exit(EX_USAGE)
  }
  do {
    // Before the sandbox, so that a crash in it is on record too.
    try recordCrashes()
    let notes = try Sandbox.enter(start.sandbox, supervisor: supervisor)
    try serve(start, notes: notes)
  } catch {
    // The link is there from the first instruction on: the supervisor hears why.
    let link = PacketSocket(taking: Descriptors.link)
    _ = link.send(SupervisorPacket.encode(.log(level: .error, source: .unnamed, text: "\(error)")))
    complain("\(error)")
    exit(EX_OSERR)
  }
}

/// A crash leaves one packet: which signal, and where in the image (not where in memory, which would tell its layout).
private func recordCrashes() throws(SystemCallError) {
  let text = "crashed by signal 00 at image offset 0x0000000000000000"
  let packet = SupervisorPacket.encode(.log(level: .error, source: ShortName("runtime") ?? .unnamed, text: text))
  // The text is the packet's last field.
  guard let end = packet.lastIndex(where: { $0 != 0 }) else { return }
  try CrashRecord.prepare(
    packet: packet, signalOffset: end + 1 - text.utf8.count + "crashed by signal ".utf8.count, placeOffset: end + 1 - 16,
    descriptor: Descriptors.link)
}
