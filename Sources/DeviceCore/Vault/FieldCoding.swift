/// Writes the fields of a structure one after another; integers in network byte order.
struct FieldWriter {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ value: some FixedWidthInteger & UnsignedInteger) {
    for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
  mutating func add(_ value: Int64) { add(UInt64(bitPattern: value)) }
  mutating func add(_ other: some Sequence<UInt8>) { bytes.append(contentsOf: other) }
  /// Zeros up to `count` bytes in all.
  mutating func pad(to count: Int) { bytes.append(contentsOf: repeatElement(0, count: max(0, count - bytes.count))) }
}

/// Reads the fields of a structure one after another. Total: nil where the bytes end before the field.
struct FieldReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  var isAtEnd: Bool { rest.isEmpty }
  /// Whether nothing but zeros is left.
  var isPadding: Bool { rest.allSatisfy { $0 == 0 } }

  mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(_ type: Value.Type = Value.self) -> Value? {
    guard let field = bytes(Value.bitWidth / 8) else { return nil }
    return field.reduce(0) { $0 << 8 | Value($1) }
  }

  mutating func time_s() -> Int64? { integer(UInt64.self).map { Int64(bitPattern: $0) } }

  mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, rest.count >= count else { return nil }
    let field = rest.prefix(count)
    rest = rest.dropFirst(count)
    return field
  }
}
