internal import Crypto
public import Foundations

/// One entry of the audit log, as it stands in a segment (docs/audit.md).
public struct AuditRecord: Hashable, Sendable {
  public enum Content: Hashable, Sendable {
    case event(AuditEvent)
    /// The audit key's signature over everything before it: ECDSA with SHA-256, DER.
    case checkpoint(signature: [UInt8])
  }

  /// Counts from 1, without a gap.
  public let sequence: UInt64
  /// Seconds since 1970 UTC, by the device's clock, which may be wrong.
  public let time_s: Int64
  /// Milliseconds since the kernel started.
  public let uptime_ms: UInt64
  public let content: Content

  static let mac_bytes = 32
  static let version: UInt8 = 1
  /// The longest record: its length, its head, a checkpoint or an event, its code.
  static let maximum_bytes = 2 + 25 + max(AuditEvent.maximum_bytes, 2 + signatureMaximum_bytes) + mac_bytes
  static let signatureMaximum_bytes = 80

  /// What is chained and authenticated: version (1), sequence (8), time (8), uptime (8), then the event's own form, or the checkpoint's kind, a
  /// length byte and the signature. Numbers are big endian.
  var body: [UInt8] {
    var bytes = head
    switch content {
    case .event(let event): bytes += event.encoded
    case .checkpoint(let signature): bytes += [AuditEvent.Kind.checkpoint.rawValue, UInt8(truncatingIfNeeded: signature.count)] + signature
    }
    return bytes
  }

  private var head: [UInt8] { [sequence, UInt64(bitPattern: time_s), uptime_ms].reduce(into: [Self.version]) { $0 += bigEndian($1) } }

  /// nil for anything but one whole record in its one form.
  init?(body: ArraySlice<UInt8>) {
    var rest = body
    guard rest.popFirst() == Self.version, let sequence = takeNumber(&rest), let time = takeNumber(&rest), let uptime_ms = takeNumber(&rest) else {
      return nil
    }
    if rest.first == AuditEvent.Kind.checkpoint.rawValue {
      let signature = Array(rest.dropFirst(2))
      guard rest.count >= 2, Int(rest[rest.startIndex + 1]) == signature.count, signature.count <= Self.signatureMaximum_bytes else { return nil }
      content = .checkpoint(signature: signature)
    } else {
      guard let event = AuditEvent(encoded: rest) else { return nil }
      content = .event(event)
    }
    self.sequence = sequence
    time_s = Int64(bitPattern: time)
    self.uptime_ms = uptime_ms
  }

  init(sequence: UInt64, time_s: Int64, uptime_ms: UInt64, content: Content) {
    self.sequence = sequence
    self.time_s = time_s
    self.uptime_ms = uptime_ms
    self.content = content
  }

  /// The chain's next value: SHA-256 over `haechi-audit-1`, a zero byte, the value before and the record's body.
  func digest(after previous: [UInt8]) -> [UInt8] { sha256(Array("haechi-audit-1".utf8) + [0] + previous + body) }

  /// What this checkpoint's signature covers: `haechi-audit-checkpoint-1`, a zero byte, the device id (10), the first 25 bytes of its own body, and the
  /// chain's value before it.
  func signed(device: DeviceIdentifier, previous: [UInt8]) -> [UInt8] {
    // A device identifier is 20 hexadecimal digits, so it always has these bytes.
    Array("haechi-audit-checkpoint-1".utf8) + [0] + (bytes(hexadecimal: device.text) ?? []) + head + previous
  }
}

/// The forward-secure key of one entry: the next one follows from it, and never the other way round.
struct AuditKey {
  let secret: SecretBytes

  func mac(_ digest: [UInt8]) throws(CryptoError) -> [UInt8] { try hmacSHA256(key: secret, message: digest) }

  func next() throws(CryptoError) -> AuditKey {
    AuditKey(secret: SecretBytes(copying: try hmacSHA256(key: secret, message: Array("haechi-audit-next-key".utf8))))
  }
}

func bigEndian(_ value: UInt64) -> [UInt8] { (0..<8).reversed().map { UInt8(truncatingIfNeeded: value >> (UInt64($0) * 8)) } }

func takeNumber(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
  guard bytes.count >= 8 else { return nil }
  defer { bytes = bytes.dropFirst(8) }
  return bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
}
