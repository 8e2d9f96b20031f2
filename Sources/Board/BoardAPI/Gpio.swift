/// What a line is for. Values are logical: `true` is active, whatever the voltage.
public enum LineRole: Sendable, Equatable {
  /// Driven by the device. `safe` is the value that endangers nobody: set at boot, and whenever the runtime is not to be trusted.
  case output(safe: Bool)
  /// Read by the device; a change counts after it has been stable for `debounce_us` microseconds.
  case input(debounce_us: UInt32)
}

/// One GPIO line as a board wires it.
public struct LineDescription: Sendable, Equatable {
  /// The name that the product uses: `relay`. At most 31 bytes of printable ASCII.
  public let name: String
  public let role: LineRole

  public init(name: String, role: LineRole) {
    self.name = name
    self.role = role
  }
}

/// An input that changed.
public struct LineEvent: Sendable, Equatable {
  public let name: String
  public let value: Bool
  /// Microseconds since the kernel started.
  public let at_us: UInt64

  public init(name: String, value: Bool, at_us: UInt64) {
    self.name = name
    self.value = value
    self.at_us = at_us
  }
}

/// The lines of a board. Held by the supervisor alone; single-threaded, and no call waits.
public protocol Gpio: AnyObject {
  /// Takes the lines and drives each output to its safe value. Throws where a line is missing or taken, naming it.
  func open(_ lines: [LineDescription]) throws(BoardError)
  /// Drives an output. Throws where `name` is no output that was opened.
  func set(_ name: String, to value: Bool) throws(BoardError)
  /// The logical value of a line now.
  func value(of name: String) throws(BoardError) -> Bool
  /// Drives every output to its safe value, trying all even where one fails; returns the names that failed.
  func driveSafe() -> [String]
  /// File descriptors that become readable when an input changes.
  var eventDescriptors: [CInt] { get }
  /// The changes since the last call, debounced, oldest first; at most 64 a call.
  func takeEvents() throws(BoardError) -> [LineEvent]
}
