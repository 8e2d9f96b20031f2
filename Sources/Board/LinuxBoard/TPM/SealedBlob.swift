internal import BoardAPI
internal import Foundations

/// What the TPM gives out for a secret that was sealed: what its policy is, in the clear, and the object. A policy that was edited is another one than the
/// object has.
///
///     0    1  format, 2
///     1    1  1 firmware, 2 data key
///     2    8  identity epoch of a data key, else 0
///     10   1  start, as `SealDemand.Start`
///     11   4  security epoch that is asked for
///     15  32  SHA-256 of the modulus of the maker's key
///     47   8  value of the counter of security epochs
///     55      the object, as its root of trust writes it
struct SealedBlob: Equatable {
  let binding: SealBinding
  let demand: SealDemand
  let count: UInt64
  let object: [UInt8]

  func encoded() -> [UInt8] {
    var writer = FieldWriter()
    writer.put(UInt8(2))
    switch binding {
    case .firmware:
      writer.put(UInt8(1))
      writer.put(UInt64(0))
    case .dataKey(let epoch):
      writer.put(UInt8(2))
      writer.put(epoch)
    }
    writer.put(demand.start.rawValue)
    writer.put(demand.epoch)
    writer.put(demand.signer)
    writer.put(count)
    writer.put(object)
    return writer.bytes
  }

  init(binding: SealBinding, demand: SealDemand, count: UInt64, object: [UInt8]) {
    self.binding = binding
    self.demand = demand
    self.count = count
    self.object = object
  }

  /// - Throws: `storage-damaged`; `storage-locked` for what firmware from before security epochs has sealed.
  init(decoding bytes: [UInt8]) throws(BoardError) {
    let damaged = BoardError(code: "storage-damaged", reason: "a sealed key is not whole")
    var reader = FieldReader(bytes)
    let format = reader.number(UInt8.self)
    if format == 1 {
      throw BoardError(
        code: BoardError.lockedCode,
        reason: "the key was sealed by a firmware from before security epochs: let a station make the storage anew (haechi provision --remake)")
    }
    guard format == 2, let kind = reader.number(UInt8.self), let epoch = reader.number(UInt64.self),
      let start = reader.number(UInt8.self).flatMap(SealDemand.Start.init(rawValue:)), let asked = reader.number(UInt32.self), let signer = reader.take(32),
      let count = reader.number(UInt64.self), !reader.isAtEnd
    else { throw damaged }
    switch (kind, epoch) {
    case (1, 0): binding = .firmware
    case (2, _): binding = .dataKey(epoch: epoch)
    default: throw damaged
    }
    demand = SealDemand(start: start, epoch: asked, signer: signer)
    self.count = count
    object = Array(bytes.dropFirst(Self.header_bytes))
  }

  static let header_bytes = 55
}
