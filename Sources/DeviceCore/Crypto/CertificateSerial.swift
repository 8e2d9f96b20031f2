internal import COpenSSL
internal import Foundations

/// The serial number that an authority gave a certificate (RFC 5280 section 4.1.2.2): 1…20 bytes, positive.
public struct CertificateSerial: Hashable, Sendable, CustomStringConvertible {
  /// The most that RFC 5280 allows.
  public static let maximum_bytes = 20
  /// Big endian, the first byte not zero.
  public let bytes: [UInt8]

  /// nil where `bytes` are none, begin with a zero, or are more than 20.
  public init?(bytes: [UInt8]) {
    guard (1...Self.maximum_bytes).contains(bytes.count), bytes[0] != 0 else { return nil }
    self.bytes = bytes
  }

  /// - Parameter text: hexadecimal digits, two for each byte.
  public init?(_ text: some StringProtocol) {
    guard let bytes = Foundations.bytes(hexadecimal: text) else { return nil }
    self.init(bytes: bytes)
  }

  /// Hexadecimal, lower case, two digits for each byte.
  public var description: String { hexadecimal(bytes) }
}

extension CertificateSerial {
  /// - Parameter integer: borrowed; nil for one that is zero, negative or too long.
  init?(integer: UnsafePointer<ASN1_INTEGER>?) {
    guard let integer, ASN1_STRING_type(integer) == V_ASN1_INTEGER, let data = ASN1_STRING_get0_data(integer) else { return nil }
    self.init(bytes: Array(UnsafeBufferPointer(start: data, count: Int(ASN1_STRING_length(integer)))))
  }

  /// The number as OpenSSL's, which the caller frees with `ASN1_INTEGER_free`.
  func makeInteger() throws(CryptoError) -> UnsafeMutablePointer<ASN1_INTEGER> {
    let number = BN_bin2bn(bytes, CInt(bytes.count), nil)
    defer { BN_free(number) }
    guard let integer = BN_to_ASN1_INTEGER(number, nil) else { throw OpenSSL.failure("openssl-failed", "no memory for a serial number") }
    return integer
  }
}
