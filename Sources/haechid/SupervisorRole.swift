import BoardAPI
import Foundations
import Glibc
import LinuxProcess
import Supervisor

/// Wires the supervisor with this machine and this board, and runs it.
func runSupervisor(options: HostOptions) -> Never {
  do throws(SystemCallError) {
    // Before anything is opened, or it would become standard output.
    try Descriptors.fillStandard()
    let board = ThisBoard.make(folder: options.folder)
    let host = try LinuxProcessHost {
      // At each start: the interface may have come late.
      let hardwareAddress = try? board.network.hardwareAddress()
      return RuntimeStart(
        listen: options.listen, makerCertificate: options.makerCertificate, identityFolder: board.runtimeIdentityFolder,
        stateFolder: board.runtimeStateFolder, auditFolder: board.auditFolder, uid: board.runtimeUser?.uid, gid: board.runtimeUser?.gid,
        hardwareAddress: hardwareAddress,
        cloudPorts: options.cloudPorts, peerPorts: options.peerPorts
      ).arguments
    }
    var limits = ThisBoard.isDevice ? SupervisorLimits() : .ofDevelopmentHost
    limits.servedPort = options.listen.port
    // In a worker, where the image's own facts can be read without PID 1 waiting for it.
    let verify: Supervisor.StatementVerifier = {
      refusal(of: $0, device: $1, owner: $2, revocations: $3, clock: WallClock(floor_s: BuildFacts.ofThisImage.built_s))
    }
    Supervisor(
      board: board, host: host, limits: limits, verifyStatement: verify,
      verifyRevocations: { refusal(ofRevocations: $0, owner: $1, present: $2) }, recoveryWork: .withOpenSSL,
      appendAudit: { append($0, to: board.auditFolder, clock: WallClock(floor_s: BuildFacts.ofThisImage.built_s)) },
      beliefStore: KeptBeliefs(board)
    ).run()
  } catch {
    complain(error.description)
    // PID 1 has no one to tell: the kernel panics, and its setting resets the machine.
    exit(EX_OSERR)
  }
}
