/// Writes the fields of an on-disk structure: integers in big-endian order.
struct FieldWriter {
  private(set) var bytes: [UInt8] = []

  mutating func put(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }
  mutating func put<Number: FixedWidthInteger & UnsignedInteger>(_ value: Number) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

/// Reads them again. Total: nil where the bytes end too early, whatever they are.
struct FieldReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func take(_ count: Int) -> [UInt8]? {
    guard count >= 0, rest.count >= count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  mutating func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type) -> Number? {
    take(MemoryLayout<Number>.size)?.reduce(0) { $0 << 8 | Number($1) }
  }
}
