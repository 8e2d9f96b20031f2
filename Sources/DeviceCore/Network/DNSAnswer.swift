internal import Foundations

/// The addresses in the answer section of a DNS message (RFC 1035 section 4.1): of A records, and of AAAA records (RFC 3596), in order, whoever they
/// are named after, because aliases stand between the question and them. At most 16. Total: what cannot be read ends the list.
func dnsAddresses(_ message: [UInt8]) -> [NetworkAddress] {
  var reader = DNSReader(bytes: message)
  // Identifier, flags; the counts of questions and answers; two counts that are not looked at.
  guard reader.skip(4), let questions = reader.number(), let answers = reader.number(), reader.skip(4) else { return [] }
  for _ in 0..<questions {
    guard reader.skipName(), reader.skip(4) else { return [] }
  }
  var found: [NetworkAddress] = []
  for _ in 0..<answers where found.count < 16 {
    guard reader.skipName(), let type = reader.number(), let kind = reader.number(), reader.skip(4), let length = reader.number(),
      let data = reader.take(Int(length))
    else { return found }
    // Type A with 4 bytes, AAAA with 16, both of class IN.
    guard kind == 1, (type == 1 && length == 4) || (type == 28 && length == 16), let address = NetworkAddress(bytes: data) else { continue }
    found.append(address)
  }
  return found
}

private struct DNSReader {
  let bytes: [UInt8]
  var index = 0

  mutating func skip(_ count: Int) -> Bool {
    guard count <= bytes.count - index else { return false }
    index += count
    return true
  }

  mutating func take(_ count: Int) -> [UInt8]? {
    let start = index
    return skip(count) ? Array(bytes[start..<index]) : nil
  }

  mutating func number() -> UInt16? { take(2).map { UInt16($0[0]) << 8 | UInt16($0[1]) } }

  /// Labels up to the root, or up to a pointer (section 4.1.4), which is not followed.
  mutating func skipName() -> Bool {
    while index < bytes.count {
      let length = Int(bytes[index])
      switch length >> 6 {
      case 0:
        guard skip(1 + length) else { return false }
        if length == 0 { return true }
      case 3: return skip(2)
      default: return false
      }
    }
    return false
  }
}
