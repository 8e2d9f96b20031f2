import Foundations
import LinuxProcess

/// What the supervisor tells a runtime on its command line, and the runtime finds there again.
struct RuntimeStart: Equatable {
  /// The first argument of a runtime.
  static let role = "runtime"

  var listen: ListenAddress
  var makerCertificate: String?
  /// What survives a wipe, and what a wipe destroys.
  var identityFolder: String
  var stateFolder: String
  /// The audit log, which it may read.
  var auditFolder: String
  /// Whom the runtime becomes; nil where it stays who it is.
  var uid: UInt32?
  var gid: UInt32?
  /// Of the interface, for the DHCP client; nil where the board does without DHCP.
  var hardwareAddress: [UInt8]?
  /// TCP ports that it may connect to.
  var cloudPorts: [UInt16]
  var peerPorts: [UInt16]

  /// `argv` of the runtime. The first is what process lists show.
  var arguments: [String] {
    [
      "haechid-runtime", Self.role, listen.description, makerCertificate ?? "", identityFolder, stateFolder, auditFolder, uid.map { String($0) } ?? "",
      gid.map { String($0) } ?? "", hexadecimal(hardwareAddress ?? []), Self.text(cloudPorts), Self.text(peerPorts),
    ]
  }

  init(
    listen: ListenAddress, makerCertificate: String?, identityFolder: String, stateFolder: String, auditFolder: String, uid: UInt32?, gid: UInt32?,
    hardwareAddress: [UInt8]?, cloudPorts: [UInt16], peerPorts: [UInt16]
  ) {
    self.listen = listen
    self.makerCertificate = makerCertificate
    self.identityFolder = identityFolder
    self.stateFolder = stateFolder
    self.auditFolder = auditFolder
    self.uid = uid
    self.gid = gid
    self.hardwareAddress = hardwareAddress
    self.cloudPorts = cloudPorts
    self.peerPorts = peerPorts
  }

  private static func text(_ ports: [UInt16]) -> String { ports.map { String($0) }.joined(separator: ",") }
  private static func ports(_ text: String) -> [UInt16] { text.split(separator: ",", omittingEmptySubsequences: false).map { UInt16($0) ?? 0 } }

  /// - Parameter arguments: what follows the role; nil where it is not as the supervisor writes it.
  init?(arguments: [String]) {
    guard arguments.count == 10, let listen = ListenAddress(arguments[0]) else { return nil }
    let uid = UInt32(arguments[5])
    let gid = UInt32(arguments[6])
    // Both or neither: half a user would leave root's group, or root.
    guard (uid == nil) == (gid == nil), (uid == nil) == arguments[5].isEmpty, (gid == nil) == arguments[6].isEmpty else { return nil }
    guard let hardwareAddress = bytes(hexadecimal: arguments[7]), hardwareAddress.isEmpty || hardwareAddress.count == 6 else { return nil }
    let cloudPorts = Self.ports(arguments[8])
    let peerPorts = Self.ports(arguments[9])
    guard !cloudPorts.contains(0), !peerPorts.contains(0) else { return nil }
    self.init(
      listen: listen, makerCertificate: arguments[1].isEmpty ? nil : arguments[1], identityFolder: arguments[2], stateFolder: arguments[3],
      auditFolder: arguments[4], uid: uid, gid: gid,
      hardwareAddress: hardwareAddress.isEmpty ? nil : hardwareAddress, cloudPorts: cloudPorts, peerPorts: peerPorts)
  }

  /// What the runtime keeps of the system.
  var sandbox: SandboxPolicy {
    let user: (uid: UInt32, gid: UInt32)? =
      if let uid, let gid { (uid, gid) } else { nil }
    return SandboxPolicy(
      user: user,
      writableFolders: [identityFolder, stateFolder],
      readablePaths: [
        makerCertificate,
        auditFolder,
        ThisBoard.isDevice ? BuildFacts.path : nil,
        // Its memory figures for /v1/status, the bounds of its first stack, which the C library looks up, and /proc/THREAD/stat of each of its
        // threads: Dispatch ends the process where it cannot read that, and a rule cannot name threads that are still to come. What tells
        // something of other processes (maps, environment, memory) asks for the right to trace them, which the sandbox has not.
        "/proc",
        // How many processors there are: the number of event loops.
        "/sys/devices/system/cpu",
      ].compactMap { $0 },
      listenPorts: [listen.port],
      connectPorts: cloudPorts + peerPorts,
      // Event loops, the concurrency pool and the crash-free margin of a four-core board; processes of a developer's own user count too,
      // so on a host there is no such limit.
      maximumThreads: user == nil ? nil : 64,
      isStrict: ThisBoard.isDevice)
  }
}
