/// A domain name (RFC 1035 section 3.1): labels of 1…63 bytes, at most 255 bytes with their lengths. Letters are kept in lower case, because names
/// that differ in it alone are one.
public struct DomainName: Hashable, Sendable, CustomStringConvertible {
  static let maximum_bytes = 255
  static let labelMaximum_bytes = 63

  public let labels: [[UInt8]]

  /// nil where a label is empty or too long, or the name is.
  public init?(labels: [[UInt8]]) {
    guard labels.allSatisfy({ (1...Self.labelMaximum_bytes).contains($0.count) }), labels.reduce(1, { $0 + 1 + $1.count }) <= Self.maximum_bytes else {
      return nil
    }
    self.labels = labels.map { label in label.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 } }
  }

  /// - Parameter text: labels joined by dots, without a dot at the end: `haechi.local`.
  public init?(_ text: String) {
    self.init(labels: text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map(Array.init))
  }

  /// Of labels in lower case that are known to be ones: words of the program's, and device ids.
  init(known labels: [String], _ rest: DomainName? = nil) { self.labels = labels.map { Array($0.utf8) } + (rest?.labels ?? []) }

  /// Without compression: the one form.
  var encoded: [UInt8] { labels.flatMap { [UInt8(truncatingIfNeeded: $0.count)] + $0 } + [0] }

  /// For the log: what is not printable ASCII is a question mark.
  public var description: String {
    labels.map { label in String(decoding: label.map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self) }.joined(separator: ".")
  }
}
