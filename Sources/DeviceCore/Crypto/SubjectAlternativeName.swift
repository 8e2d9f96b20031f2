internal import COpenSSL
public import Foundations

/// A name in a certificate's subjectAltName (RFC 5280 section 4.2.1.6) of the four kinds that Haechi uses.
public enum SubjectAlternativeName: Hashable, Sendable {
  /// dNSName: 1…253 characters of letters, digits, `-`, `.`, `_`, `*`.
  case dns(String)
  /// uniformResourceIdentifier: 1…255 printable ASCII characters without spaces.
  case uri(String)
  /// iPAddress: 4 or 16 bytes.
  case address(NetworkAddress)
  /// otherName hardwareModuleName (RFC 4108 section 5), as an IDevID has one: the type of the hardware and its serial number, 1…64 bytes.
  case hardwareModule(type: ASN1ObjectIdentifier, serialNumber: [UInt8])

  var isWellFormed: Bool {
    switch self {
    case .dns(let name):
      (1...253).contains(name.utf8.count)
        && name.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [42, 45, 46, 95].contains($0) }
    case .uri(let uri): (1...255).contains(uri.utf8.count) && uri.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    case .address: true
    case .hardwareModule(_, let serialNumber): (1...64).contains(serialNumber.count)
    }
  }

  /// At most this many names are read from a certificate or a request.
  static let maximumCount = 32
}

/// A `GENERAL_NAMES` that the caller frees with `GENERAL_NAMES_free`. Throws `malformed-input`.
func generalNames(_ names: [SubjectAlternativeName]) throws(CryptoError) -> OpaquePointer {
  guard names.count <= SubjectAlternativeName.maximumCount, let stack = OPENSSL_sk_new_null() else {
    throw CryptoError(code: "malformed-input", reason: "a certificate has at most \(SubjectAlternativeName.maximumCount) names")
  }
  for name in names {
    guard name.isWellFormed, let general = GENERAL_NAME_new() else {
      GENERAL_NAMES_free(stack)
      throw CryptoError(code: "malformed-input", reason: "\(name) is no name that a certificate may hold")
    }
    let kind: CInt
    let bytes: [UInt8]
    switch name {
    case .dns(let text): (kind, bytes) = (GEN_DNS, Array(text.utf8))
    case .uri(let text): (kind, bytes) = (GEN_URI, Array(text.utf8))
    case .address(let address): (kind, bytes) = (GEN_IPADD, address.bytes)
    case .hardwareModule(let type, let serialNumber):
      do throws(CryptoError) {
        try setHardwareModule(general, type, serialNumber)
      } catch {
        GENERAL_NAME_free(general)
        GENERAL_NAMES_free(stack)
        throw error
      }
      OPENSSL_sk_push(stack, general)
      continue
    }
    let string = kind == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new()
    ASN1_STRING_set(string, bytes, CInt(bytes.count))
    GENERAL_NAME_set0_value(general, kind, string)
    OPENSSL_sk_push(stack, general)
  }
  return stack
}

/// The DNS names, URIs, addresses and hardware modules of a borrowed `GENERAL_NAMES`; other kinds are left out. Throws `malformed-input` for one that is not well formed.
func subjectAlternativeNames(_ stack: OpaquePointer) throws(CryptoError) -> [SubjectAlternativeName] {
  var names: [SubjectAlternativeName] = []
  let count = OPENSSL_sk_num(stack)
  guard count <= SubjectAlternativeName.maximumCount else {
    throw CryptoError(code: "malformed-input", reason: "a certificate has at most \(SubjectAlternativeName.maximumCount) names, not \(count)")
  }
  for index in 0..<max(count, 0) {
    guard let element = OPENSSL_sk_value(stack, index) else { continue }
    var kind: CInt = 0
    let value = GENERAL_NAME_get0_value(element.assumingMemoryBound(to: GENERAL_NAME.self), &kind)
    if kind == GEN_OTHERNAME, let value {
      if let module = try hardwareModule(value.assumingMemoryBound(to: OTHERNAME.self)) { names.append(module) }
      continue
    }
    guard kind == GEN_DNS || kind == GEN_URI || kind == GEN_IPADD, let value else { continue }
    let string = value.assumingMemoryBound(to: ASN1_STRING.self)
    let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    if kind == GEN_IPADD {
      guard let address = NetworkAddress(bytes: Array(bytes)) else {
        throw CryptoError(code: "malformed-input", reason: "a subjectAltName holds an address of \(bytes.count) bytes")
      }
      names.append(.address(address))
      continue
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let name: SubjectAlternativeName = kind == GEN_DNS ? .dns(text) : .uri(text)
    // A zero byte or a character outside ASCII is how one name is made to look like another.
    guard text.utf8.count == bytes.count, name.isWellFormed else {
      throw CryptoError(code: "malformed-input", reason: "a subjectAltName holds characters that no name has")
    }
    names.append(name)
  }
  return names
}
