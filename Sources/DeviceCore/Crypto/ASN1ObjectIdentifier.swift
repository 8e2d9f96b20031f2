internal import COpenSSL

/// An ASN.1 object identifier (ITU-T X.660) in dotted decimal form: `1.3.6.1.5.5.7.3.2`.
public struct ASN1ObjectIdentifier: Hashable, Sendable, CustomStringConvertible {
  /// Dotted decimal, without leading zeros.
  public let text: String

  /// nil where `text` is no dotted decimal of 2…32 arcs and at most 128 characters, or its first arcs are out of range.
  public init?(_ text: String) {
    guard text.utf8.count <= 128 else { return nil }
    let arcs = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (2...32).contains(arcs.count), let first = arcs.first, let root = UInt8(first), root <= 2 else { return nil }
    for arc in arcs {
      guard !arc.isEmpty, arc.utf8.allSatisfy({ (48...57).contains($0) }), arc == "0" || !arc.hasPrefix("0") else { return nil }
    }
    // Below 0 and 1 there are only 40 arcs each (X.690 section 8.19.4).
    if root < 2 { guard let second = UInt8(arcs[1]), second < 40 else { return nil } }
    self.text = text
  }

  /// `id-kp-serverAuth` (RFC 5280 section 4.2.1.12).
  public static let serverAuthentication = ASN1ObjectIdentifier(known: "1.3.6.1.5.5.7.3.1")
  /// `id-kp-clientAuth` (RFC 5280 section 4.2.1.12).
  public static let clientAuthentication = ASN1ObjectIdentifier(known: "1.3.6.1.5.5.7.3.2")

  /// For constants of this source tree: traps where `text` is none.
  public init(known text: String) {
    guard let identifier = ASN1ObjectIdentifier(text) else { preconditionFailure("\(text) is no object identifier") }
    self = identifier
  }

  public var description: String { text }
}

extension ASN1ObjectIdentifier {
  /// - Parameter object: borrowed; nil where it is too long to be one that anybody uses.
  init?(object: OpaquePointer?) {
    guard let object else { return nil }
    var buffer = [CChar](repeating: 0, count: 160)
    let length = OBJ_obj2txt(&buffer, CInt(buffer.count), object, 1)
    guard length > 0, Int(length) < buffer.count else { return nil }
    self.init(String(decoding: buffer.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }

  /// Lends the identifier as OpenSSL's object.
  func withObject<Result>(_ body: (OpaquePointer) throws(CryptoError) -> Result) throws(CryptoError) -> Result {
    guard let object = OBJ_txt2obj(text, 1) else { throw OpenSSL.failure("openssl-failed", "OpenSSL does not take the object identifier \(text)") }
    defer { ASN1_OBJECT_free(object) }
    return try body(object)
  }
}

/// The DER form of an ASN.1 UTF8String (X.690 section 8.23) of at most 127 bytes, or nil where `text` is longer.
public func derUTF8String(_ text: String) -> [UInt8]? {
  let content = Array(text.utf8)
  guard content.count <= 127 else { return nil }
  return [0x0c, UInt8(content.count)] + content
}

/// The text of the DER form of a UTF8String of at most 127 bytes, or nil for anything else, broken UTF-8 included.
public func utf8String(der: [UInt8]) -> String? {
  guard der.count >= 2, der[0] == 0x0c, der[1] <= 127, Int(der[1]) == der.count - 2 else { return nil }
  return String(validating: der[2...], as: UTF8.self)
}
