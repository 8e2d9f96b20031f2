/// Where a debug image shows its log. A release board has none.
public protocol Console: AnyObject {
  /// Writes one line, without waiting: what the device does not take at once is dropped.
  func write(line: String)
}
