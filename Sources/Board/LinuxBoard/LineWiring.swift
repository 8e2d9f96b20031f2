public import BoardAPI

/// Where a board wires one line.
public struct LineWiring: Sendable, Equatable {
  /// How a chip knows one of its lines.
  public enum Position: Sendable, Equatable {
    /// From 0, as the chip's data sheet counts.
    case offset(UInt32)
    /// As the device tree or the driver calls it.
    case named(String)
  }

  public let description: LineDescription
  /// The chip's label, which does not change with the order of probing as `/dev/gpiochipN` does: `9030000.pl061`.
  public let chipLabel: String
  public let position: Position
  /// A low voltage is active.
  public let isActiveLow: Bool

  public init(_ description: LineDescription, chipLabel: String, position: Position, isActiveLow: Bool = false) {
    self.description = description
    self.chipLabel = chipLabel
    self.position = position
    self.isActiveLow = isActiveLow
  }
}
