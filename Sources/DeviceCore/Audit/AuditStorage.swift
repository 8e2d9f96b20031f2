internal import Foundations

/// The few things that the log asks of a file system: one folder of its own.
///
/// What the log relies on: what `write` and `replace` wrote is on the medium when they return. A power cut in between may leave any part of it, but
/// nothing before `offset`, and of a replaced file the old content or the new.
protocol AuditStorage: Sendable {
  /// Where it is, for messages.
  var path: String { get }
  /// The names of its files.
  func names() throws(SystemCallError) -> [String]
  /// At most `maximum_bytes` of a regular file, nil where there is none.
  func read(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8]?
  /// As `read`, of a file that nobody else may read.
  func readSecret(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> SecretBytes?
  /// Cuts a file at `offset` and writes `bytes` there; makes the file, or makes it empty, where `isNew`.
  func write(_ name: String, _ bytes: [UInt8], at offset: Int, isNew: Bool) throws(SystemCallError)
  /// Replaces a file that whoever may enter the folder may read.
  func replace(_ name: String, with bytes: [UInt8]) throws(SystemCallError)
  /// Replaces a file that nobody else may read.
  func replace(_ name: String, with secret: SecretBytes) throws(SystemCallError)
  /// Sees to so many files of segments that exist ahead and are empty.
  func reserve(_ count: Int) throws(SystemCallError)
  /// Removes a file; that there is none is no error. It may be back after a power cut.
  func remove(_ name: String) throws(SystemCallError)
}

extension AuditStorage {
  static var stateName: String { "state" }
  static var anchorName: String { "anchor" }

  /// Sixteen digits, so that names sort as numbers do.
  static func segmentName(_ first: UInt64) -> String { hexadecimal(bigEndian(first)) + ".segment" }

  /// The first sequence numbers of the segments, ascending.
  func segments() throws(SystemCallError) -> [UInt64] {
    try names().compactMap { name -> UInt64? in
      guard name.utf8.count == 24, name.hasSuffix(".segment"), let number = UInt64(name.prefix(16), radix: 16), name == Self.segmentName(number) else {
        return nil
      }
      return number
    }.sorted()
  }
}
