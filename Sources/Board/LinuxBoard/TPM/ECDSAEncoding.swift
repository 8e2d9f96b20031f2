/// DER of what a TPM gives as numbers of P-256 (32 bytes, or fewer where the first would be zero).
enum ECDSAEncoding {
  private static let coordinate_bytes = 32

  /// SubjectPublicKeyInfo (RFC 5480 section 2): ecPublicKey, prime256v1, the point uncompressed; nil where a coordinate is none.
  static func publicKey(x: [UInt8], y: [UInt8]) -> [UInt8]? {
    guard let x = filled(x), let y = filled(y) else { return nil }
    return [
      0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42,
      0x00, 0x04,
    ] + x + y
  }

  /// ECDSA-Sig-Value (RFC 3279 section 2.2.3); nil where a number is none.
  static func signature(r: [UInt8], s: [UInt8]) -> [UInt8]? {
    guard let r = integer(r), let s = integer(s) else { return nil }
    return [0x30, UInt8(r.count + s.count)] + r + s
  }

  private static func filled(_ number: [UInt8]) -> [UInt8]? {
    guard (1...coordinate_bytes).contains(number.count) else { return nil }
    return [UInt8](repeating: 0, count: coordinate_bytes - number.count) + number
  }

  /// A positive INTEGER in its shortest form; nil for zero, which is in no signature.
  private static func integer(_ number: [UInt8]) -> [UInt8]? {
    let digits = Array(number.drop { $0 == 0 })
    guard let first = digits.first, digits.count <= coordinate_bytes else { return nil }
    let content = first & 0x80 == 0 ? digits : [0] + digits
    return [0x02, UInt8(content.count)] + content
  }
}
