/// `GET /v1/info`: who the device says that it is.
public struct DeviceInfo: Codable, Equatable, Sendable {
  /// 20 hexadecimal digits, from the digest of the device's key.
  public var deviceId: String
  public var serialNumber: String?
  public var manufacturer: String
  public var model: String
  /// The board: `qemu-virt`, `virtual`.
  public var hardwareModel: String
  public var firmwareVersion: String
  /// `debug`, `release` or `host`.
  public var variant: String
  public var apiVersions: [String]
  /// `blank`, `provisioned`, `owned` or `damaged`.
  public var lifeCycleState: String
  /// `tpm` or `file`: where the key of its IDevID certificate is; nil from firmware that does not say.
  public var identityKey: String?
  public var ownerId: String?
  /// What is wrong with a damaged device's state.
  public var damage: String?
}

/// `GET /v1/status`: how the device is.
public struct DeviceStatus: Codable, Equatable, Sendable {
  public var state: String
  public var uptimeMilliseconds: UInt64
  public var startCount: UInt64
  public var startCause: String
  public var bootPhases: [BootPhase]
  public var network: Network
  public var rootOfTrust: RootOfTrust
  public var storage: Storage
  public var memory: Memory
  /// The device's clock, RFC 3339, UTC.
  public var time: String

  public struct BootPhase: Codable, Equatable, Sendable {
    public var name: String
    public var startedMicroseconds: UInt64
    public var durationMicroseconds: UInt64
    public var outcome: String
    public var detail: String?
  }
  public struct Network: Codable, Equatable, Sendable {
    public var linkUp: Bool
    public var address: String?
    public var router: String?
    public var resolvers: [String]
    /// `off`, `waiting`, `probing`, `announced`, `conflict` or `failed`; absent from firmware that cannot announce itself.
    public var discovery: String?
  }
  public struct RootOfTrust: Codable, Equatable, Sendable {
    public var kind: String
    public var manufacturer: String?
    public var secureBootState: String?
  }
  public struct Storage: Codable, Equatable, Sendable {
    /// `volatile`, `open`, `damaged` or `locked`.
    public var state: String
    /// Of an open one.
    public var cipher: String?
    /// What its keys are sealed with.
    public var rootOfTrust: String
    /// Why it is not open.
    public var reason: String?
    /// Why nothing can be kept now.
    public var fault: Fault?

    public struct Fault: Codable, Equatable, Sendable {
      /// `storage-full`, `storage-read-only` or `storage-failing`.
      public var code: String
      /// What can be done.
      public var reason: String
      /// Since when, milliseconds since the device's kernel started.
      public var uptimeMilliseconds: UInt64
    }
  }
  public struct Memory: Codable, Equatable, Sendable {
    public var residentBytes: UInt64
  }
}

/// One measured value, as `GET /v1/readings` lists it and its event stream sends it.
public struct Reading: Codable, Equatable, Sendable {
  public var name: String
  public var value: Double
  public var unit: String
  /// When it was measured, RFC 3339, UTC.
  public var time: String
  /// True where no physical sensor stands behind it.
  public var simulated: Bool
}

/// One output and the value that it takes when the device fails safe.
public struct Actuator: Codable, Equatable, Sendable {
  public var name: String
  public var on: Bool
  public var safe: Bool
}

/// One input line.
public struct Input: Codable, Equatable, Sendable {
  public var name: String
  public var active: Bool
  /// When it last changed, microseconds since the device's kernel started; absent before the first change.
  public var changedMicroseconds: UInt64?
}

/// One line of the device's log.
public struct LogEntry: Codable, Equatable, Sendable {
  public var sequence: UInt64
  public var uptimeMilliseconds: UInt64
  public var level: String
  public var source: String
  public var text: String
}

/// `GET /v1/logs`: the newest records, and how many older ones the device no longer has.
public struct LogPage: Codable, Equatable, Sendable {
  public var records: [LogEntry]
  public var forgotten: UInt64
}

struct ReadingList: Codable, Sendable { var readings: [Reading] }
struct ActuatorList: Codable, Sendable { var actuators: [Actuator] }
struct InputList: Codable, Sendable { var inputs: [Input] }
struct ActuatorChange: Codable, Sendable { var on: Bool }

/// RFC 9457 problem details; every member but the status line may be missing.
struct ProblemDetails: Codable, Sendable {
  var type: String?
  var title: String?
  var status: Int?
  var detail: String?

  /// What follows `urn:haechi:problem:`.
  var code: String? {
    guard let type, type.hasPrefix("urn:haechi:problem:") else { return nil }
    return String(type.dropFirst("urn:haechi:problem:".count))
  }
}

/// `GET /v1/provisioning` of a blank device.
struct ProvisioningOffer: Codable, Sendable {
  var deviceId: String
  var certificateRequest: String
  var hardwareModel: String
  var firmwareVersion: String
}
