internal import COpenSSL

/// The two attributes of a subject that Haechi writes. Others of a foreign certificate are kept only in its text.
public struct DistinguishedName: Hashable, Sendable {
  /// `CN`: 1…64 characters (RFC 5280 appendix A.1, ub-common-name).
  public var commonName: String
  /// `serialNumber`: 1…64 printable characters, nil for none.
  public var serialNumber: String?

  public init(commonName: String, serialNumber: String? = nil) {
    self.commonName = commonName
    self.serialNumber = serialNumber
  }

  /// Writes both into an OpenSSL name that the caller owns. Throws `malformed-input`.
  func write(to name: OpaquePointer) throws(CryptoError) {
    try add(NID_commonName, "common name", commonName, to: name)
    if let serialNumber { try add(NID_serialNumber, "serial number", serialNumber, to: name) }
  }

  private func add(_ attribute: CInt, _ what: String, _ value: String, to name: OpaquePointer) throws(CryptoError) {
    let text = Array(value.utf8)
    guard (1...64).contains(value.unicodeScalars.count), !value.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }),
      X509_NAME_add_entry_by_NID(name, attribute, MBSTRING_UTF8, text, CInt(text.count), -1, 0) == 1
    else { throw OpenSSL.failure("malformed-input", "a \(what) has 1 to 64 printable characters") }
  }
}

/// The first value of `attribute` in `name` as UTF-8, nil for none or one with a zero byte (which fools readers of C strings).
func text(of attribute: CInt, in name: OpaquePointer?) -> String? {
  guard let name else { return nil }
  let index = X509_NAME_get_index_by_NID(name, attribute, -1)
  guard index >= 0, let entry = X509_NAME_get_entry(name, index), let value = X509_NAME_ENTRY_get_data(entry) else { return nil }
  var utf8: UnsafeMutablePointer<UInt8>?
  let count = ASN1_STRING_to_UTF8(&utf8, value)
  guard count >= 0, let utf8 else { return nil }
  defer { CRYPTO_free(utf8, nil, 0) }
  let bytes = UnsafeBufferPointer(start: utf8, count: Int(count))
  guard !bytes.contains(0) else { return nil }
  return String(validating: bytes, as: UTF8.self)
}

/// All of `name` in one line (RFC 2253), non-ASCII escaped, at most 256 characters: for logs and errors.
func line(of name: OpaquePointer?) -> String {
  guard let name, let bio = BIO_new(BIO_s_mem()) else { return "" }
  defer { BIO_free(bio) }
  guard X509_NAME_print_ex(bio, name, 0, haechi_XN_FLAG_RFC2253) >= 0 else { return "" }
  var start: UnsafeMutablePointer<CChar>?
  let count = haechi_BIO_get_mem_data(bio, &start)
  guard let start, count > 0 else { return "" }
  let bytes = UnsafeRawBufferPointer(start: start, count: min(count, 256))
  return String(decoding: bytes.map { (32...126).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
}
