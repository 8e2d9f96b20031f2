/// What the runtime is told at its start.
public struct RuntimeConfiguration: Sendable {
  /// The folder of what survives a wipe; only the runtime's user may enter it, and it must exist. The runtime makes, replaces and removes files in it.
  public var identityFolder: String
  /// The folder of what a wipe destroys; as above.
  public var stateFolder: String
  /// The maker's CA certificate: DER or PEM, at most 16 KiB.
  public var makerCertificate: [UInt8]
  /// A numeric address, nil for every address of both families.
  public var host: String?
  /// TCP; 0 lets the kernel choose.
  public var port: Int
  /// The board, as it names itself: `qemu-virt`.
  public var hardwareModel: String
  public var firmwareVersion: String
  /// `release`, `debug` or `host`.
  public var variant: String
  /// No time before this is believed: when the firmware was built, seconds since 1970 UTC.
  public var clockFloor_s: Int64
  /// One is enough for a device; each costs about 100 KB.
  public var eventLoopCount: Int
  /// The DHCP client's socket and the interface's hardware address (6 bytes); nil where the board does without DHCP.
  public var dhcp: (socket: CInt, hardwareAddress: [UInt8])?
  /// Sentences for the log, from before there was one.
  public var notes: [String]
  /// What the API and the listener hold and wait for.
  public var connectionLimits = ConnectionLimits()
  /// The supervisor answers from memory or by one ioctl; after this long it is taken for silent.
  public var supervisorAnswer_ms: Int64 = 2_000
  /// The audit log's folder, which it can only read; nil where there is none.
  public var auditFolder: String?
  /// TCP ports that a broker may be bound at, as the sandbox allows them; nil where there is no such bound.
  public var cloudPorts: [UInt16]?
  /// TCP ports that peers may be reached at; nil where there is no such bound.
  public var peerPorts: [UInt16]?
  /// Called once with the address and port that are served.
  public var onListening: (@Sendable (_ address: String, _ port: Int) -> Void)?

  /// The file that the state folder holds where the device has an owner.
  public static func ownerFile(in stateFolder: String) -> String { stateFolder + "/" + StateFolder.owner }

  public init(
    identityFolder: String, stateFolder: String, makerCertificate: [UInt8], host: String? = nil, port: Int = 8443, hardwareModel: String,
    firmwareVersion: String,
    variant: String, clockFloor_s: Int64, eventLoopCount: Int = 1, dhcp: (socket: CInt, hardwareAddress: [UInt8])? = nil,
    notes: [String] = [], onListening: (@Sendable (_ address: String, _ port: Int) -> Void)? = nil
  ) {
    self.identityFolder = identityFolder
    self.stateFolder = stateFolder
    self.makerCertificate = makerCertificate
    self.host = host
    self.port = port
    self.hardwareModel = hardwareModel
    self.firmwareVersion = firmwareVersion
    self.variant = variant
    self.clockFloor_s = clockFloor_s
    self.eventLoopCount = eventLoopCount
    self.dhcp = dhcp
    self.notes = notes
    self.onListening = onListening
  }
}
