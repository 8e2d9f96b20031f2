#if HAECHI_DEBUG
  internal import BoardAPI
  internal import Foundations

  /// What stands for a TPM on a debug machine that has none: a key and counters that lie readable on the disk beside what they protect. It keeps
  /// nothing secret from anyone; a release firmware has no code for it and refuses what it sealed.
  final class DevelopmentRootOfTrust: SealingRootOfTrust {
    private static let magic = Array("HAECHI-DEV-TRUST".utf8)
    private static let size_bytes = 512

    let kind = RootOfTrustFacts.Kind.development
    private let partition: BlockPartition
    private var key: [UInt8] = []
    private var counters: [UInt64] = [0, 0, 0]

    /// - Parameter partition: `ident`, where its key lies.
    init(partition: BlockPartition) throws(BoardError) {
      self.partition = partition
      var reader = FieldReader(try partition.read(at: IdentStore.developmentOffset_bytes, count: Self.size_bytes))
      if reader.take(16) == Self.magic, let key = reader.take(RecordCipher.key_bytes), let epoch = reader.number(UInt64.self),
        let generation = reader.number(UInt64.self), let securityEpoch = reader.number(UInt64.self)
      {
        self.key = key
        counters = [epoch, generation, securityEpoch]
      } else {
        key = try RecordCipher.randomBytes(RecordCipher.key_bytes)
      }
    }

    func value(of counter: RootOfTrustCounter) throws(BoardError) -> UInt64? {
      let value = counters[Self.place(counter)]
      return value == 0 ? nil : value
    }

    func raise(_ counter: RootOfTrustCounter) throws(BoardError) -> UInt64 {
      counters[Self.place(counter)] += 1
      var writer = FieldWriter()
      writer.put(Self.magic)
      writer.put(key)
      for counter in counters { writer.put(counter) }
      writer.put([UInt8](repeating: 0, count: Self.size_bytes - writer.bytes.count))
      try partition.write(writer.bytes, at: IdentStore.developmentOffset_bytes)
      try partition.flush()
      return counters[Self.place(counter)]
    }

    func seal(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] {
      let nonce = try RecordCipher.randomBytes(RecordCipher.nonce_bytes)
      var writer = FieldWriter()
      switch binding {
      case .firmware: writer.put(UInt64(0))
      case .dataKey(let epoch): writer.put(epoch)
      }
      let plaintext = secret.withUnsafeBytes { Array($0) }
      return writer.bytes + nonce + (try RecordCipher.seal(plaintext, key: SecretBytes(copying: key), nonce: nonce, associated: writer.bytes))
    }

    /// It knows of no epochs: what it sealed opens for every debug firmware.
    func sealAhead(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] { try seal(secret, to: binding) }
    func standing(of _: [UInt8]) throws(BoardError) -> SealStanding { .current }

    func unseal(_ blob: [UInt8]) throws(BoardError) -> SecretBytes {
      var reader = FieldReader(blob)
      guard let epoch = reader.number(UInt64.self), let nonce = reader.take(RecordCipher.nonce_bytes) else {
        throw BoardError(code: "storage-damaged", reason: "a sealed key is cut short")
      }
      guard epoch == 0 || epoch == counters[Self.place(.identityEpoch)] else {
        throw BoardError(code: BoardError.lockedCode, reason: "the key was sealed before the device was wiped")
      }
      guard
        let secret = RecordCipher.open(
          Array(blob.dropFirst(8 + RecordCipher.nonce_bytes)), key: SecretBytes(copying: key), nonce: nonce, associated: Array(blob.prefix(8)))
      else { throw BoardError(code: BoardError.lockedCode, reason: "the key was sealed by another root of trust") }
      return SecretBytes(copying: secret)
    }

    /// A key that lay readable beside the runtime's files would be no better off than among them.
    func makeIdentityKey() throws(BoardError) -> IdentityKey? { nil }

    /// Its key lies open anyway.
    func closeForThisBoot() throws(BoardError) {}

    private static func place(_ counter: RootOfTrustCounter) -> Int {
      switch counter {
      case .identityEpoch: 0
      case .identGeneration: 1
      case .securityEpoch: 2
      }
    }
  }
#endif
