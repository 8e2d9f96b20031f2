// The bodies of the API, as docs/openapi.json describes them. Times are RFC 3339 in UTC; a number's unit is the last word of its name.

/// Where a device stands in its life.
public enum LifeCycleState: String, Codable, Sendable, CaseIterable {
  /// As made: knows only its own key and the maker's CA.
  case blank
  /// Has its maker's certificate, and no owner.
  case provisioned
  /// Has an owner.
  case owned
  /// Its stored state is missing in part or inconsistent: it never falls back to blank, says what is wrong and waits for a station.
  case damaged
}

/// Where the device's own key is, that of its IDevID certificate.
public enum IdentityKeyPlace: String, Codable, Sendable, CaseIterable {
  /// In its TPM, which never gives it out.
  case tpm
  /// Among its files, which a board with a TPM keeps sealed.
  case file
}

/// `GET /v1/info`
public struct InfoDocument: Codable, Sendable, Equatable {
  /// In the order in which they stand in the text: what is asked for most need not be sorted.
  enum CodingKeys: CodingKey {
    case apiVersions, damage, deviceId, firmwareVersion, hardwareModel, identityKey, lifeCycleState, manufacturer, model, ownerId, serialNumber, variant
  }

  public var deviceId: String
  public var serialNumber: String?
  public var manufacturer: String
  public var model: String
  public var hardwareModel: String
  public var firmwareVersion: String
  public var variant: String
  public var apiVersions: [String]
  public var lifeCycleState: LifeCycleState
  public var identityKey: IdentityKeyPlace
  public var ownerId: String?
  /// What is wrong with a damaged device's state.
  public var damage: String?

  public init(
    deviceId: String, serialNumber: String?, manufacturer: String, model: String, hardwareModel: String, firmwareVersion: String, variant: String,
    lifeCycleState: LifeCycleState, identityKey: IdentityKeyPlace, ownerId: String?, damage: String?
  ) {
    self.deviceId = deviceId
    self.serialNumber = serialNumber
    self.manufacturer = manufacturer
    self.model = model
    self.hardwareModel = hardwareModel
    self.firmwareVersion = firmwareVersion
    self.variant = variant
    self.apiVersions = ["v1"]
    self.lifeCycleState = lifeCycleState
    self.identityKey = identityKey
    self.ownerId = ownerId
    self.damage = damage
  }
}

/// `GET /v1/status`
public struct StatusDocument: Codable, Sendable, Equatable {
  public struct Phase: Codable, Sendable, Equatable {
    public var name: String
    public var startedMicroseconds: UInt64
    public var durationMicroseconds: UInt64
    /// `done`, `skipped` or `failed`.
    public var outcome: String
    public var detail: String

    public init(name: String, startedMicroseconds: UInt64, durationMicroseconds: UInt64, outcome: String, detail: String) {
      self.name = name
      self.startedMicroseconds = startedMicroseconds
      self.durationMicroseconds = durationMicroseconds
      self.outcome = outcome
      self.detail = detail
    }
  }
  public struct Network: Codable, Sendable, Equatable {
    public var linkUp: Bool
    /// With its prefix length: `10.0.2.15/24`.
    public var address: String?
    public var router: String?
    public var resolvers: [String]
    public var discovery: DiscoveryState

    public init(linkUp: Bool, address: String?, router: String?, resolvers: [String], discovery: DiscoveryState) {
      self.linkUp = linkUp
      self.address = address
      self.router = router
      self.resolvers = resolvers
      self.discovery = discovery
    }
  }
  public struct RootOfTrust: Codable, Sendable, Equatable {
    /// `none`, `tpm2` or `development`.
    public var kind: String
    public var manufacturer: String
    /// PCR 7 of the SHA-256 bank in hexadecimal.
    public var secureBootState: String?

    public init(kind: String, manufacturer: String, secureBootState: String?) {
      self.kind = kind
      self.manufacturer = manufacturer
      self.secureBootState = secureBootState
    }
  }
  public struct Storage: Codable, Sendable, Equatable {
    /// `volatile`, `open`, `damaged` or `locked`.
    public var state: String
    /// As dm-crypt names it, where it is open.
    public var cipher: String?
    /// What its keys are sealed with: `none`, `tpm2` or `development`.
    public var rootOfTrust: String
    /// Why it is not open, or what failed all the same.
    public var reason: String?
    /// Why nothing can be kept now; absent while all is well.
    public var fault: Fault?

    /// Of a storage that is there and takes nothing.
    public struct Fault: Codable, Sendable, Equatable {
      /// `storage-full`, `storage-read-only` or `storage-failing`.
      public var code: String
      /// What can be done.
      public var reason: String
      /// Since when, milliseconds since the kernel started.
      public var uptimeMilliseconds: UInt64

      public init(code: String, reason: String, uptimeMilliseconds: UInt64) {
        self.code = code
        self.reason = reason
        self.uptimeMilliseconds = uptimeMilliseconds
      }
    }

    public init(state: String, cipher: String? = nil, rootOfTrust: String, reason: String? = nil, fault: Fault? = nil) {
      self.state = state
      self.cipher = cipher
      self.rootOfTrust = rootOfTrust
      self.reason = reason
      self.fault = fault
    }
  }
  public struct Memory: Codable, Sendable, Equatable {
    public var residentBytes: UInt64
    public init(residentBytes: UInt64) { self.residentBytes = residentBytes }
  }

  public var state: LifeCycleState
  public var uptimeMilliseconds: UInt64
  /// 1 for the first start of the runtime since boot.
  public var startCount: UInt32
  /// `boot`, `ended`, `hung` or `violation`.
  public var startCause: String
  public var bootPhases: [Phase]
  public var network: Network
  public var rootOfTrust: RootOfTrust
  public var storage: Storage
  public var memory: Memory
  public var time: String

  public init(
    state: LifeCycleState, uptimeMilliseconds: UInt64, startCount: UInt32, startCause: String, bootPhases: [Phase], network: Network,
    rootOfTrust: RootOfTrust, storage: Storage, memory: Memory, time: String
  ) {
    self.state = state
    self.uptimeMilliseconds = uptimeMilliseconds
    self.startCount = startCount
    self.startCause = startCause
    self.bootPhases = bootPhases
    self.network = network
    self.rootOfTrust = rootOfTrust
    self.storage = storage
    self.memory = memory
    self.time = time
  }
}

/// One reading of a sensor; also the data of the stream event `reading`.
public struct ReadingDocument: Codable, Sendable, Equatable {
  /// In the order in which they stand in the text, as with `InfoDocument`.
  enum CodingKeys: CodingKey { case name, simulated, time, unit, value }

  public var name: String
  public var value: Double
  /// A UCUM code: `Cel`, `%`.
  public var unit: String
  public var time: String
  /// True where no physical sensor stands behind the value.
  public var simulated: Bool

  public init(name: String, value: Double, unit: String, time: String, simulated: Bool) {
    self.name = name
    self.value = value
    self.unit = unit
    self.time = time
    self.simulated = simulated
  }
}

/// `GET /v1/readings`: the latest reading of each name.
public struct ReadingsDocument: Codable, Sendable, Equatable {
  public var readings: [ReadingDocument]
  public init(readings: [ReadingDocument]) { self.readings = readings }
}

/// An output that the product declares, `GET /v1/actuators/{name}`.
public struct ActuatorDocument: Codable, Sendable, Equatable {
  public var name: String
  public var on: Bool
  /// The value that endangers nobody, driven whenever the runtime is not to be trusted.
  public var safe: Bool

  public init(name: String, on: Bool, safe: Bool) {
    self.name = name
    self.on = on
    self.safe = safe
  }
}

/// `GET /v1/actuators`
public struct ActuatorsDocument: Codable, Sendable, Equatable {
  public var actuators: [ActuatorDocument]
  public init(actuators: [ActuatorDocument]) { self.actuators = actuators }
}

/// `PUT /v1/actuators/{name}`
public struct ActuatorRequest: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["on"]
  public var on: Bool
  public init(on: Bool) { self.on = on }
}

/// An input that the product declares; also the data of the stream event `input`.
public struct InputDocument: Codable, Sendable, Equatable {
  public var name: String
  public var active: Bool
  /// When it last changed, microseconds since the kernel started; absent where it has not changed since this runtime started.
  public var changedMicroseconds: UInt64?

  public init(name: String, active: Bool, changedMicroseconds: UInt64?) {
    self.name = name
    self.active = active
    self.changedMicroseconds = changedMicroseconds
  }
}

/// `GET /v1/inputs`
public struct InputsDocument: Codable, Sendable, Equatable {
  public var inputs: [InputDocument]
  public init(inputs: [InputDocument]) { self.inputs = inputs }
}

/// One record of the log; also the data of the stream event `log`.
public struct LogDocument: Codable, Sendable, Equatable {
  public var sequence: UInt64
  public var uptimeMilliseconds: UInt64
  /// `debug`, `info`, `notice`, `warning` or `error`.
  public var level: String
  public var source: String
  public var text: String

  public init(sequence: UInt64, uptimeMilliseconds: UInt64, level: String, source: String, text: String) {
    self.sequence = sequence
    self.uptimeMilliseconds = uptimeMilliseconds
    self.level = level
    self.source = source
    self.text = text
  }
}

/// `GET /v1/logs`
public struct LogsDocument: Codable, Sendable, Equatable {
  public var records: [LogDocument]
  /// How many records after `after` were forgotten before they could be read.
  public var forgotten: UInt64

  public init(records: [LogDocument], forgotten: UInt64) {
    self.records = records
    self.forgotten = forgotten
  }
}
