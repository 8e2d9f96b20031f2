/// What a climate-like sensor can measure, with the unit of its value.
public enum Quantity: String, Sendable, CaseIterable {
  /// Degrees Celsius.
  case temperature_C = "temperature"
  /// Relative humidity, percent, 0…100.
  case humidity_percent = "humidity"
}

/// One measurement.
public struct Measurement: Sendable, Equatable {
  public let quantity: Quantity
  /// In the unit of the quantity.
  public let value: Double
  /// True where no physical sensor stands behind the value; the API says so with each reading.
  public let isSimulated: Bool

  public init(quantity: Quantity, value: Double, isSimulated: Bool) {
    self.quantity = quantity
    self.value = value
    self.isSimulated = isSimulated
  }
}

/// The sensors of a board, read by the runtime.
public protocol Sensors: Sendable {
  /// What this board can measure.
  var quantities: [Quantity] { get }
  /// Measures now. Throws `BoardError` where the sensor does not answer or has no such quantity.
  func measure(_ quantity: Quantity) async throws -> Measurement
}
