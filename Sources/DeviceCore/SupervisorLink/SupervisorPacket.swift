/// The binary form of the messages between supervisor and runtime.
///
/// One packet is exactly `size` bytes, `largeSize` for the two kinds that carry a certificate, or `listSize` for the one that carries a revocation
/// list: a version byte, a kind byte, the fields of that kind in the order of the enum's declaration, and zeros. Integers are big-endian; a name or text is one length byte and its bytes; a Boolean is 0 or 1.
/// Kinds of the two directions do not overlap, so a packet that is sent back is refused. Decoding is total: whatever the
/// bytes are, it returns a message or throws `LinkError`.
public enum SupervisorPacket {
  /// Bytes of each packet. The largest message (`storage`: 240) fits.
  public static let size = 256
  /// Bytes of a packet that carries a certificate: the largest (a statement: 1,255) with room for one more field.
  public static let largeSize = 1_280
  /// Bytes of a packet that carries a revocation list.
  public static let listSize = 11_264
  /// Bytes of the largest packet of any kind.
  public static let maximumSize = listSize
  /// The first byte. Both ends are the same executable, so there is never a second version to speak to.
  public static let version: UInt8 = 1
  /// Bytes of text in a `log` message of either side, and in a phase's detail.
  public static let maximumLogBytes = 160
  public static let maximumDetailBytes = 96
  /// The input line whose press says that somebody stands at the device.
  public static let presenceLine = "button"
  /// The output line whose light answers who holds the button.
  public static let presenceLight = "status-led"
  /// Bytes of text that say why a grade was raised.
  public static let maximumEvidenceBytes = 120
  /// Bytes of a revocation list: some 270 certificates.
  public static let maximumRevocationsBytes = 11_000
  /// Bytes of the device's public key, of P-256: 91.
  public static let maximumPublicKeyBytes = 128
  /// Bytes of what is signed: a SHA-256 digest.
  public static let digestBytes = 32

  enum SupervisorKind: UInt8 {
    case started = 0x01, phase, phasesComplete, line, input, answer, link, rootOfTrust, log, shutdown, grade, destination, peers
    case storage = 0x10, discovery
    case wipeWanted = 0x14
    case recoveryOffer = 0x18
    case identityKey = 0x20, signature
  }
  enum RuntimeKind: UInt8 {
    case ready = 0x81, heartbeat, setOutput, applyLease, dropLease, setHostName, log, raiseGrade, pinOwner, statement, destinationAddresses
    case allowWipe
    case revocations
    case commitIdentity = 0x90
    case audit = 0x91
    case exportAudit, peerMoved
    case remakeStorage = 0x98, recoveryOffer
    case sign = 0xa0
  }

  /// `text` cut to at most `maximum` bytes of UTF-8, never inside a Unicode scalar.
  public static func cut(_ text: String, to maximum: Int) -> String {
    guard text.utf8.count > maximum else { return text }
    var kept = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= maximum else { break }
      kept.append(scalar)
    }
    return String(kept)
  }

  /// Every packet of a kind has this one size.
  static func size(ofKind kind: UInt8) -> Int {
    switch RuntimeKind(rawValue: kind) {
    case .pinOwner, .statement: largeSize
    case .revocations: listSize
    default: size
    }
  }

  /// Checks size and version and returns the kind.
  static func kind(of bytes: [UInt8]) throws(LinkError) -> UInt8 {
    let kind = bytes.dropFirst().first ?? 0
    guard bytes.count == size(ofKind: kind) else {
      throw LinkError("packet-size", "\(bytes.count) bytes where a packet of kind \(kind) has \(size(ofKind: kind))")
    }
    guard let first = bytes.first, first == version else {
      throw LinkError("packet-version", "version \(bytes.first ?? 0) where this link speaks \(version)")
    }
    return kind
  }
}
