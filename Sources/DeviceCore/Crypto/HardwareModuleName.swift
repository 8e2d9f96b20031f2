internal import COpenSSL

/// `id-on-hardwareModuleName` (RFC 4108 section 5).
private let hardwareModuleName = ASN1ObjectIdentifier(known: "1.3.6.1.5.5.7.8.4")

/// The HardwareModuleName `SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING }` into `general`. Throws `openssl-failed`.
func setHardwareModule(_ general: UnsafeMutablePointer<GENERAL_NAME>, _ type: ASN1ObjectIdentifier, _ serialNumber: [UInt8]) throws(CryptoError) {
  let identifier = try type.withObject { (object) throws(CryptoError) in encode { i2d_ASN1_OBJECT(object, $0) } }
  guard let identifier else { throw OpenSSL.failure("openssl-failed", "the object identifier \(type) has no encoding") }
  // An identifier of at most 128 characters and a serial number of at most 64 bytes stay below 256 bytes together: one or two bytes of length.
  let content = identifier + [0x04, UInt8(serialNumber.count)] + serialNumber
  let sequence = (content.count < 128 ? [0x30, UInt8(content.count)] : [0x30, 0x81, UInt8(content.count)]) + content
  let value = sequence.withUnsafeBufferPointer { bytes in
    var cursor = bytes.baseAddress
    return d2i_ASN1_TYPE(nil, &cursor, bytes.count)
  }
  guard let value else { throw OpenSSL.failure("openssl-failed", "a hardware module's name could not be made") }
  guard let name = OBJ_txt2obj(hardwareModuleName.text, 1) else {
    ASN1_TYPE_free(value)
    throw OpenSSL.failure("openssl-failed", "OpenSSL does not take the object identifier \(hardwareModuleName)")
  }
  // It takes over both where it succeeds, and that it fails only for want of memory.
  guard GENERAL_NAME_set0_othername(general, name, value) == 1 else { throw OpenSSL.failure("openssl-failed", "no memory for a hardware module's name") }
}

/// The hardware module of a borrowed otherName, nil where it is an otherName of another kind. Throws `malformed-input` for one that is not well formed.
func hardwareModule(_ other: UnsafeMutablePointer<OTHERNAME>) throws(CryptoError) -> SubjectAlternativeName? {
  guard ASN1ObjectIdentifier(object: other.pointee.type_id) == hardwareModuleName else { return nil }
  let malformed = CryptoError(code: "malformed-input", reason: "a subjectAltName holds a hardware module's name that is none")
  guard let value = other.pointee.value, let der = encode({ i2d_ASN1_TYPE(value, $0) }), let content = derContent(der[...], tag: 0x30), content.rest.isEmpty,
    let identifier = derContent(content.value, tag: 0x06), let serial = derContent(identifier.rest, tag: 0x04), serial.rest.isEmpty
  else { throw malformed }
  let encoded = Array(content.value[..<identifier.rest.startIndex])
  let type = encoded.withUnsafeBufferPointer { bytes -> ASN1ObjectIdentifier? in
    var cursor = bytes.baseAddress
    guard let object = d2i_ASN1_OBJECT(nil, &cursor, bytes.count) else { return nil }
    defer { ASN1_OBJECT_free(object) }
    return ASN1ObjectIdentifier(object: object)
  }
  guard let type else { throw malformed }
  let name = SubjectAlternativeName.hardwareModule(type: type, serialNumber: Array(serial.value))
  guard name.isWellFormed else { throw malformed }
  return name
}

/// The content of the DER value that `bytes` begins with, of at most 255 bytes, and what follows it; nil for another tag or a length that is not DER's.
private func derContent(_ bytes: ArraySlice<UInt8>, tag: UInt8) -> (value: ArraySlice<UInt8>, rest: ArraySlice<UInt8>)? {
  let header = Array(bytes.prefix(3))
  guard header.count >= 2, header[0] == tag else { return nil }
  var start = bytes.startIndex + 2
  var count = Int(header[1])
  if count == 0x81 {
    guard header.count == 3, header[2] >= 128 else { return nil }
    start += 1
    count = Int(header[2])
  } else if count > 127 {
    return nil
  }
  guard bytes.endIndex - start >= count else { return nil }
  return (bytes[start..<start + count], bytes[(start + count)...])
}
