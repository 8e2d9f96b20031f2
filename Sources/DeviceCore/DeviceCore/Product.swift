public import BoardAPI
public import Foundations
public import Vault

/// What a fork writes: the product. It declares what the device has, and runs.
///
/// The only type that a fork must make. It says what it declares in `description`, and `run` does the work by way of its context: it
/// measures, reports readings, sets actuators and follows inputs. Everything else (API, identity, supervision) is done for it.
public protocol Product: Sendable {
  var description: ProductDescription { get }
  /// Runs until it is cancelled. When it throws or returns early, the runtime ends, the actuators go to their safe state and the
  /// supervisor starts a new one: a product that cannot do its work does not go on as if it could.
  func run(_ device: ProductContext) async throws
}

/// What a product declares. Names are those of the board's lines: 1 to 31 letters, digits, `-` and `_`.
public struct ProductDescription: Sendable {
  /// A value that the product reports.
  public struct Reading: Sendable, Equatable {
    public let name: String
    /// A UCUM code: `Cel`, `%`, `hPa`.
    public let unit: String

    public init(_ name: String, unit: String) {
      self.name = name
      self.unit = unit
    }
  }

  /// An output that people and the product may set.
  public struct Actuator: Sendable, Equatable {
    public let name: String
    /// The value that endangers nobody. The board wires it so too; the runtime says in its log where the two differ.
    public let safe: Bool

    public init(_ name: String, safe: Bool) {
      self.name = name
      self.safe = safe
    }
  }

  public let manufacturer: String
  public let model: String
  public let readings: [Reading]
  public let actuators: [Actuator]
  /// The inputs that the API shows and the product may follow.
  public let inputs: [String]
  /// An output that only the product sets: a status LED.
  public let indicator: String?
  /// What the product keeps over restarts, each with its purpose and its life: `[settings.declaration, history.declaration]`.
  public let kinds: [VaultKind]

  public init(
    manufacturer: String, model: String, readings: [Reading], actuators: [Actuator], inputs: [String], indicator: String? = nil,
    kinds: [VaultKind] = []
  ) {
    self.manufacturer = manufacturer
    self.model = model
    self.readings = readings
    self.actuators = actuators
    self.inputs = inputs
    self.indicator = indicator
    self.kinds = kinds
  }
}

/// Where the device stands in its life, as far as a product wants to show it.
public enum LifeCyclePhase: String, Sendable, CaseIterable {
  /// As made; waits for a production station.
  case blank
  /// Has its maker's certificate; waits for an owner.
  case provisioned
  case owned
  /// Its stored state is missing in part or inconsistent; it serves nobody but a station.
  case damaged
}

/// A change of an input.
public struct InputEvent: Sendable, Equatable {
  public let name: String
  public let isActive: Bool
  /// Microseconds since the kernel started.
  public let at_us: UInt64

  public init(name: String, isActive: Bool, at_us: UInt64) {
    self.name = name
    self.isActive = isActive
    self.at_us = at_us
  }
}

/// The last value that another device of the same owner's gave this one.
public struct PeerReading: Sendable, Equatable {
  /// The other's device id, 20 hexadecimal digits.
  public let device: String
  public let name: String
  public let value: Double
  /// A UCUM code: `Cel`, `%`.
  public let unit: String
  /// True where no physical sensor stands behind the value.
  public let isSimulated: Bool
  /// Milliseconds since it arrived. One that grows means that the peer is not reached: decide what is too old to act on.
  public let age_ms: UInt64

  public init(device: String, name: String, value: Double, unit: String, isSimulated: Bool, age_ms: UInt64) {
    self.device = device
    self.name = name
    self.value = value
    self.unit = unit
    self.isSimulated = isSimulated
    self.age_ms = age_ms
  }
}

/// What a product may do. Every call may be made from any task.
public struct ProductContext: Sendable {
  let hub: DeviceHub
  let sensors: any Sensors
  let phase: @Sendable () -> LifeCyclePhase
  let gradeNow: @Sendable () -> Grade
  /// The product's settings and history, of the kinds that it declares.
  public internal(set) var store = ProductStore.none
  var peersNow: @Sendable () -> [PeerReading] = { [] }

  /// Measures now. Throws `BoardError` where the sensor does not answer.
  public func measure(_ quantity: Quantity) async throws -> Measurement { try await sensors.measure(quantity) }

  /// Makes a reading known to the API, as the latest of its name and on the streams.
  ///
  /// - Parameter isSimulated: true where no physical sensor stands behind the value.
  public func report(_ name: String, _ value: Double, isSimulated: Bool) {
    hub.report(name, value, isSimulated: isSimulated)
  }

  /// Drives an actuator or the indicator, and returns once the supervisor has done it. Throws `ProductError` where it could not.
  public func set(_ output: String, _ on: Bool) async throws(ProductError) { try await hub.set(output, on) }

  /// What an actuator or input is now; false for a name that was not declared.
  public func isOn(_ name: String) -> Bool { hub.value(of: name) }

  /// The changes of the declared inputs from now on, debounced. Holds 64; a follower that is slower than that loses the oldest.
  public var inputs: AsyncStream<InputEvent> { hub.inputEvents() }

  /// Where the device stands in its life now.
  public var lifeCycle: LifeCyclePhase { phase() }

  /// What other devices of the owner's let this one know, as the owner's scopes allow it.
  public var peerReadings: [PeerReading] { peersNow() }

  /// How much of the network the device takes part in now. From `quarantined` on every output stays at its safe value.
  public var grade: Grade { gradeNow() }

  /// A line for the device's log. Never put a secret into it.
  public func log(_ level: LogLevel, _ text: String) { hub.log.append(level, source: "product", text) }
}

/// Why an output could not be set.
///
/// Codes: `unknown-output`, `too-many-requests`, `supervisor-silent`, `supervisor-refused`, `not-in-this-grade`.
public struct ProductError: HaechiError {
  public let code: String
  public let reason: String
  public let cause: (any Error)?

  public init(code: String, reason: String, cause: (any Error)? = nil) {
    self.code = code
    self.reason = reason
    self.cause = cause
  }
}
