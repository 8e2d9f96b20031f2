import Crypto

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
struct SeededRandom: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// `bytes` with one to four of them changed, cut out or put in.
  mutating func mutation(of bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0...4, using: &self) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &self)
      case 2: bytes.remove(at: index)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &self), at: index)
      default: bytes.removeLast(min(bytes.count, Int.random(in: 1...8, using: &self)))
      }
    }
    return bytes
  }
}

/// An authority for tests, and leaves of it. Times are about 2023-11-14T22:13:20Z (1 700 000 000).
struct TestAuthority {
  static let now_s: Int64 = 1_700_000_000
  let key: PrivateKey
  let issuer: CertificateIssuer

  init(_ name: String = "authority", pathLength: Int = 1) throws {
    key = try PrivateKey.generateP256()
    issuer = try CertificateIssuer(
      certificate: CertificateIssuer.selfSigned(Self.template(name, kind: .authority(pathLength: pathLength)), key: key), key: key)
  }

  static func template(_ name: String, kind: CertificateTemplate.Kind = .leaf, from_s: Int64 = -1000, until_s: Int64 = 1000) -> CertificateTemplate {
    CertificateTemplate(
      kind: kind, subject: DistinguishedName(commonName: name), notBefore_s: now_s + from_s, notAfter_s: now_s + until_s,
      extendedKeyUsages: kind == .leaf ? [.clientAuthentication] : [])
  }
}
