/// A queue with a fixed number of places that forgets its oldest element when it is full, and counts what it forgot.
public struct Ring<Element> {
  private var places: [Element] = []
  private var oldest = 0
  /// How many elements it holds at the most; at least 1.
  public let capacity: Int
  /// How many elements were forgotten since it was made.
  public private(set) var forgotten: UInt64 = 0

  public init(capacity: Int) {
    precondition(capacity > 0, "a ring needs at least one place")
    self.capacity = capacity
    places.reserveCapacity(capacity)
  }

  public var count: Int { places.count }

  /// Adds `element` as the newest.
  public mutating func append(_ element: Element) {
    if places.count < capacity {
      places.append(element)
    } else {
      places[oldest] = element
      oldest = (oldest + 1) % capacity
      forgotten += 1
    }
  }

  /// The elements, oldest first.
  public var elements: [Element] { Array(places[oldest...] + places[..<oldest]) }
}

extension Ring: Sendable where Element: Sendable {}
