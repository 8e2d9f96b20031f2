internal import BoardAPI
internal import Foundations

/// 4 KiB of the partition `ident`, at one of two places.
///
///     0     16  "HAECHI-IDENT-KEY"
///     16     1  format, 1
///     17     1  kind of the root of trust, as `RootOfTrustFacts.Kind`
///     18     2  bytes of the sealed key
///     20        the sealed key, then zeros
///     4064  32  SHA-256 of all before it, against a torn write
enum KeyArea: Equatable {
  case empty
  case unreadable
  case made(kind: RootOfTrustFacts.Kind, blob: [UInt8], Place)

  enum Place: UInt64, CaseIterable {
    case first = 0
    case second = 8_192

    var other: Place { self == .first ? .second : .first }
  }

  private static let size_bytes = 4_096
  private static let magic = Array("HAECHI-IDENT-KEY".utf8)

  /// The one that counts.
  static func find(_ partition: BlockPartition, root: any SealingRootOfTrust) throws(BoardError) -> KeyArea {
    var kept: [(blob: [UInt8], place: Place)] = []
    for place in Place.allCases {
      if case .made(root.kind, let blob, _) = try read(partition, at: place) { kept.append((blob, place)) }
    }
    guard let chosen = try root.choose(kept) else { return try find(partition) }
    return .made(kind: root.kind, blob: chosen.blob, chosen.place)
  }

  /// What kind of root of trust has sealed the store, or the area that cannot be read.
  static func find(_ partition: BlockPartition) throws(BoardError) -> KeyArea {
    let first = try read(partition, at: .first)
    if case .made = first { return first }
    let second = try read(partition, at: .second)
    if case .made = second { return second }
    return first == .empty ? second : first
  }

  static func read(_ partition: BlockPartition, at place: Place) throws(BoardError) -> KeyArea {
    let bytes = try partition.read(at: place.rawValue, count: size_bytes)
    if bytes.allSatisfy({ $0 == 0 }) { return .empty }
    let body = Array(bytes.dropLast(32))
    var reader = FieldReader(body)
    guard RecordCipher.digest(body) == Array(bytes.suffix(32)), reader.take(16) == magic, reader.number(UInt8.self) == 1,
      let kind = reader.number(UInt8.self).flatMap(RootOfTrustFacts.Kind.init(rawValue:)), let count = reader.number(UInt16.self),
      let blob = reader.take(Int(count))
    else { return .unreadable }
    return .made(kind: kind, blob: blob, place)
  }

  /// One that is empty is not written again.
  static func erase(_ partition: BlockPartition, at place: Place) throws(BoardError) {
    guard try read(partition, at: place) != .empty else { return }
    try partition.write([UInt8](repeating: 0, count: size_bytes), at: place.rawValue)
    try partition.flush()
  }

  static func write(kind: RootOfTrustFacts.Kind, blob: [UInt8], to partition: BlockPartition, at place: Place) throws(BoardError) {
    guard blob.count <= size_bytes - 20 - 32 else { throw IdentStore.damage("a sealed key of \(blob.count) bytes does not fit") }
    var writer = FieldWriter()
    writer.put(magic)
    writer.put(UInt8(1))
    writer.put(kind.rawValue)
    writer.put(UInt16(truncatingIfNeeded: blob.count))
    writer.put(blob)
    writer.put([UInt8](repeating: 0, count: size_bytes - 32 - writer.bytes.count))
    try partition.write(writer.bytes + RecordCipher.digest(writer.bytes), at: place.rawValue)
    try partition.flush()
  }
}
