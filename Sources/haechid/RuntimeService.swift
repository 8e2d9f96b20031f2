import DeviceCore
import Foundations
import Glibc
import LinuxProcess
import SupervisorLink

/// Runs DeviceCore with the product, inside the sandbox. The first thread waits and does nothing else.
///
/// - Parameter notes: what the kernel of a development host lacks, for the log.
func serve(_ start: RuntimeStart, notes: [String]) throws -> Never {
  let facts = ThisBoard.isDevice ? try BuildFacts(text: String(decoding: readFile(BuildFacts.path), as: UTF8.self)) : .host
  guard let path = start.makerCertificate else { throw MissingMaker() }
  let dhcpSocket: CInt? = fcntl(Descriptors.dhcp, F_GETFD) < 0 ? nil : Descriptors.dhcp
  var configuration = RuntimeConfiguration(
    identityFolder: start.identityFolder, stateFolder: start.stateFolder, makerCertificate: try readFile(path),
    // Every address of both families, on one socket.
    host: start.listen.host == "::" ? nil : start.listen.host, port: Int(start.listen.port), hardwareModel: facts.board,
    firmwareVersion: facts.version, variant: facts.variant, clockFloor_s: facts.built_s,
    dhcp: dhcpSocket.flatMap { socket in start.hardwareAddress.map { (socket, $0) } }, notes: notes)
  configuration.auditFolder = start.auditFolder
  configuration.cloudPorts = start.cloudPorts
  configuration.peerPorts = start.peerPorts
  let complete = configuration

  // What ends the runtime is told by this copy: the link itself is DeviceCore's, and closed by then.
  let lastWords = PacketSocket(taking: fcntl(Descriptors.link, F_DUPFD_CLOEXEC, 0))
  let words = UncheckedLink(socket: lastWords)
  // A plain Task would belong to the first thread, which never comes back for it.
  Task.detached {
    do {
      try await runRuntime(configuration: complete, product: ThisProduct.make(), sensors: ThisBoard.makeSensors(), link: Descriptors.link)
      exit(EX_OK)
    } catch {
      words.say(.error, "\(error)")
      complain("\(error)")
      exit(EX_SOFTWARE)
    }
  }
  while true { Descriptors.wait(inputs: [], output: nil, timeout_ms: .max) }
}

/// Bounded: a certificate and the facts of a build are small.
private func readFile(_ path: String) throws(SystemCallError) -> [UInt8] { try AtomicFile.readSmall(path, maximum_bytes: 16 * 1024) }

/// Sends one last record. Only the one task that ends the runtime uses it.
private struct UncheckedLink: @unchecked Sendable {
  let socket: PacketSocket

  func say(_ level: LogLevel, _ text: String) {
    let cut = SupervisorPacket.cut(text, to: SupervisorPacket.maximumLogBytes)
    _ = socket.send(SupervisorPacket.encode(.log(level: level, source: ShortName("runtime") ?? .unnamed, text: cut)))
  }
}

/// On a development host nothing is pinned.
private struct MissingMaker: HaechiError {
  let code = "maker-missing"
  let reason = "no maker's certificate is named: start haechid with --maker-ca FILE ('haechi maker new' makes one)"
  let cause: (any Error)? = nil
}
