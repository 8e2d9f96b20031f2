internal import Crypto
internal import Foundations

/// What the log's next entry needs, and nobody but the worker may read: replaced after each append.
///
/// It may be behind the segments by one append that a power cut interrupted, and never before them.
struct AuditState {
  /// Of the next entry.
  var sequence: UInt64
  /// The chain's value so far.
  var digest: [UInt8]
  /// Of the next entry; the ones before are gone.
  var key: AuditKey
  /// Signs checkpoints.
  let signer: PrivateKey
  /// The first sequence number of the segment that is being written.
  var segment: UInt64
  /// Entries since the last checkpoint.
  var unsigned: UInt64
  /// The first sequence number of the oldest segment that is kept: what a cut left of those before it goes with the next append.
  var oldest: UInt64
  /// Whose log it is: the first that was told.
  let device: DeviceIdentifier
  /// The kind of the last event, 0 before the first.
  var lastKind: UInt8
  /// SHA-256 of the owner CA's certificate for which the anchor's key is sealed; zeros where there is none.
  var sealedFor: [UInt8]

  static let sealedForNobody = [UInt8](repeating: 0, count: 32)

  static let maximum_bytes = 1_024
  private static let magic = Array("haechi-audit-state-1".utf8) + [0]

  /// A log that has no entry yet.
  init(device: DeviceIdentifier, firstSequence: UInt64, oldest: UInt64) throws(CryptoError) {
    self.device = device
    self.oldest = oldest
    lastKind = 0
    sequence = firstSequence
    digest = [UInt8](repeating: 0, count: 32)
    key = AuditKey(secret: try randomSecret(32))
    signer = try PrivateKey.generateP256()
    segment = firstSequence
    unsigned = 0
    sealedFor = Self.sealedForNobody
  }

  /// `haechi-audit-state-1`, a zero byte, then sequence (8), segment (8), unsigned (8), oldest (8), device id (10), lastKind (1), digest (32), sealedFor (32),
  /// key (32), and the signing key (PKCS #8, DER).
  func encoded() throws(CryptoError) -> SecretBytes {
    // One sum of so many parts takes the compiler too long.
    var head: [UInt8] = Self.magic
    for number in [sequence, segment, unsigned, oldest] { head += bigEndian(number) }
    head += bytes(hexadecimal: device.text) ?? []
    head.append(lastKind)
    head += digest
    head += sealedFor
    let signer = try signer.der()
    return SecretBytes(capacity: head.count + key.secret.count + signer.count) { buffer in
      buffer.copyBytes(from: head)
      var end = head.count
      for part in [key.secret, signer] {
        part.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: buffer[end...]).copyMemory(from: $0) }
        end += part.count
      }
      return end
    }
  }

  /// nil where it is not one.
  init?(_ stored: SecretBytes) {
    let head = Self.magic.count + 32 + 11 + 64
    guard stored.count > head + 32 else { return nil }
    var rest = stored.withUnsafeBytes { Array($0.prefix(head)) }[...]
    guard rest.starts(with: Self.magic) else { return nil }
    rest = rest.dropFirst(Self.magic.count)
    guard let sequence = takeNumber(&rest), let segment = takeNumber(&rest), let unsigned = takeNumber(&rest), let oldest = takeNumber(&rest),
      sequence > 0, sequence < .max, (1...sequence).contains(segment), oldest <= segment, let device = DeviceIdentifier(hexadecimal(rest.prefix(10)))
    else { return nil }
    rest = rest.dropFirst(10)
    guard let lastKind = rest.popFirst() else { return nil }
    func secret(_ range: Range<Int>) -> SecretBytes {
      stored.withUnsafeBytes { all in
        SecretBytes(capacity: range.count) { buffer in
          buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[range]))
          return range.count
        }
      }
    }
    guard let signer = try? PrivateKey(der: secret(head + 32..<stored.count)) else { return nil }
    self.sequence = sequence
    self.segment = segment
    self.unsigned = unsigned
    self.oldest = oldest
    self.device = device
    self.lastKind = lastKind
    digest = Array(rest.prefix(32))
    sealedFor = Array(rest.dropFirst(32))
    key = AuditKey(secret: secret(head..<head + 32))
    self.signer = signer
  }
}
