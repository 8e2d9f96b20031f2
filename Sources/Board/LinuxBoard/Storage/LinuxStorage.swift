internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// The storage of a Linux board: the partitions `ident` and `data` of its disk, with keys that its TPM gives out (docs/storage.md).
///
/// PID 1 holds one and calls nothing of it: each call is a worker's whole job, and finds everything anew.
final class LinuxStorage: Storage {
  private let identityFolder: String
  private let folders: VolumeFolders
  private let user: (uid: UInt32, gid: UInt32)
  private let registers: SealRegisters
  private let authorityPath: String

  init(
    identityFolder: String, folders: VolumeFolders, user: (uid: UInt32, gid: UInt32), registers: SealRegisters = SealRegisters(),
    authorityPath: String = SealAuthority.path
  ) {
    self.identityFolder = identityFolder
    self.folders = folders
    self.user = user
    self.registers = registers
    self.authorityPath = authorityPath
  }

  func announceFirmware() throws(BoardError) {
    guard let device = TPM2RootOfTrust.device else { throw .skipped("this machine has no TPM") }
    #if HAECHI_DEVICE_LIBRARIES
      try TPM2Vault.announce(device: device, registers: registers, authority: try SealAuthority.read(authorityPath))
    #else
      throw Self.notBuiltIn(device)
    #endif
  }

  func open() -> StorageFacts {
    var kind = RootOfTrustFacts.Kind.none
    do throws(BoardError) {
      guard let parts = try findAtBoot() else { return StorageFacts(state: .volatile, reason: "this machine has no disk with partitions ident and data") }
      switch try chooseRoot(ident: parts.ident) {
      case .absent(let reason): return StorageFacts(state: .volatile, reason: reason)
      case .present(let root):
        kind = root.kind
        let opened: Opened
        do throws(BoardError) {
          opened = try open(parts, root: root)
        } catch {
          // Nothing of what was refused, or half opened, lies beneath the runtime.
          _ = try? makeVolume(parts.data, root).close()
          throw error
        }
        return StorageFacts(
          state: .open, cipher: opened.cipher.word, rootOfTrust: kind, identityEpoch: opened.epoch, reason: opened.fault, identityKey: opened.identityKey,
          recoveryKey: opened.recoveryKey, recoveryChange: opened.change)
      }
    } catch {
      return StorageFacts(state: error.code == BoardError.lockedCode ? .locked : .damaged, rootOfTrust: kind, reason: error.reason)
    }
  }

  func commitIdentity() throws(BoardError) -> UndeclaredFiles {
    let (parts, root) = try require()
    let store = try IdentStore.open(parts.ident, root: root)
    var content = store.content
    let found = try IdentFolder(path: identityFolder, user: user).read(content.declaredFiles)
    if let (_, why) = found.refused.min(by: { $0.key.name < $1.key.name }) { throw BoardError(code: "identity-refused", reason: why) }
    content.keep(found.files)
    if content != store.content { try store.commit(content) }
    return found.undeclared
  }

  func recordWipe() throws(BoardError) -> UndeclaredFiles {
    let (parts, root) = try require()
    let store = try IdentStore.open(parts.ident, root: root)
    var content = store.content
    guard !content.isWiping else { return .none }
    content.isWiping = true
    let found = try IdentFolder(path: identityFolder, user: user).read(content.declaredFiles)
    let stay = content.files.filter { file in found.refused.keys.contains { $0.name == file.name } }
    content.keep((found.files + stay).sorted { $0.name < $1.name })
    // Nobody shall open what is about to go.
    content.wish = nil
    try store.commit(content)
    return found.undeclared
  }

  func order(_ recoveryKey: RecoveryKeyOrder) throws(BoardError) {
    let (parts, root) = try require()
    let store = try IdentStore.open(parts.ident, root: root)
    guard !store.content.isWiping else { throw BoardError(code: "storage-refused", reason: "the device is being wiped") }
    if case .set(let passphrase, _) = recoveryKey {
      guard (1...RecoveryKeyOrder.passphraseMaximum_bytes).contains(passphrase.count) else {
        throw BoardError(code: "storage-refused", reason: "a passphrase of \(passphrase.count) bytes is none of a recovery key")
      }
    }
    var content = store.content
    content.wish = RecoveryWish(recoveryKey)
    try store.commit(content)
  }

  #if HAECHI_DEVICE_LIBRARIES
    /// Whether other firmware will open both keys, if this machine is started with it and is otherwise as it is: to be asked before it is put in place.
    ///
    /// - Parameter seal: the other firmware's file at `SealAuthority.path`.
    /// - Throws: `storage-locked`, naming what would not match.
    func forecast(for seal: [UInt8]) throws(BoardError) {
      guard let next = SealAuthority(decoding: seal) else {
        throw BoardError(code: BoardError.lockedCode, reason: "the other firmware does not say what may open its disk keys: it was not made as this one")
      }
      guard let device = TPM2RootOfTrust.device, let parts = try find() else {
        throw BoardError(code: "storage-not-there", reason: "there is no storage on this machine that a TPM has sealed")
      }
      let vault = try makeVault(device)
      guard case .made(.tpm2, let blob, _) = try KeyArea.find(parts.ident, root: vault) else {
        throw IdentStore.damage("the partition ident has no sealed key")
      }
      try vault.forecast(blob, under: next)
      let content = try IdentStore.open(parts.ident, root: vault).content
      guard let cipher = VolumeCipher(rawValue: content.dataCipher) else { throw IdentStore.damage("the partition data has a cipher that is unknown") }
      let volume = try LUKSVolume(parts.data)
      try volume.load(cipher)
      try vault.forecast(try volume.keptBlob(root: vault).blob, under: next)
    }
  #endif

  func wipe() throws(BoardError) {
    let (parts, root) = try require()
    try wipe(parts, root, made: try IdentStore.open(parts.ident, root: root).content.dataEpoch)
  }

  /// - Parameter made: the epoch that the volume was made for.
  private func wipe(_ parts: Parts, _ root: any SealingRootOfTrust, made: UInt64) throws(BoardError) {
    // First: no copy of a sealed key opens from here on. Once is enough, however often this is cut off.
    if try root.value(of: .identityEpoch) == made { _ = try root.raise(.identityEpoch) }
    try makeVolume(parts.data, root).destroy()
  }

  func remake() throws(BoardError) {
    let (parts, root) = try require()
    // Where nothing can be sealed in this state of the machine, nothing is destroyed: other firmware may open what is there.
    _ = try root.seal(try RecordCipher.randomKey(RecordCipher.key_bytes), to: .firmware)
    // First: no copy of the volume's key opens from here on. A root of trust that knows no device has given out none.
    if try root.value(of: .identityEpoch) != nil { _ = try root.raise(.identityEpoch) }
    try makeVolume(parts.data, root).destroy()
    try IdentStore.remake(parts.ident, root: root)
  }

  private struct Opened {
    let cipher: VolumeCipher
    let epoch: UInt64
    let identityKey: IdentityKey?
    var recoveryKey: RecoveryKeyFacts?
    var change = RecoveryKeyChange.none
    /// What was not done: an order about the recovery key, or what makes an older copy or firmware show.
    var faults: [String] = []
    var fault: String { faults.joined(separator: "; ") }
  }

  private func open(_ parts: Parts, root: any SealingRootOfTrust) throws(BoardError) -> Opened {
    let store = try IdentStore.open(parts.ident, root: root)
    if store.content.isWiping { try wipe(parts, root, made: store.content.dataEpoch) }
    guard let epoch = try root.value(of: .identityEpoch) else { throw IdentStore.damage("the root of trust has lost the identity epoch") }
    var content = store.content
    var faults: [String] = []
    let cipher: VolumeCipher
    var outcome = RecoveryOutcome.nothing
    if content.dataEpoch == epoch {
      guard let known = VolumeCipher(rawValue: content.dataCipher) else { throw IdentStore.damage("the partition data has a cipher that is unknown") }
      cipher = known
      outcome = try makeVolume(parts.data, root).open(cipher, content: store.content, sealsAhead: store.isOutdated)
      // Before anything is done that cannot be undone: what was put in this volume's place shall not cost its keys.
      try count(&content, &faults)
      sealAnew(store, &faults)
    } else {
      guard content.dataEpoch < epoch else { throw IdentStore.damage("the partition data is of an identity epoch that has not come yet") }
      sealAnew(store, &faults)
      // The first boot, or the first after a wipe; or such a boot was cut off, as the store is told last.
      cipher = haechi_cpu_has_aes() == 1 ? .aesXTS : .adiantum
      try makeVolume(try grown(parts.data), root).make(cipher, epoch: epoch)
      content.dataEpoch = epoch
      content.dataCipher = cipher.rawValue
      content.dataStart = VolumeStarts.first
      try VolumeStarts(folders: folders).write(content.dataStart)
      content.isWiping = false
      // They were the former volume's.
      content.recovery = nil
      content.wish = nil
    }
    // Once, while the device is blank: one that has files has a key among them, which stays what it is known by.
    if content.files.isEmpty, content.identityKey == nil { content.identityKey = try root.makeIdentityKey() }
    // In each start, whatever has changed: so a copy of the whole disk from before shows even where the volume could not count.
    try store.commit(content)
    try IdentFolder(path: identityFolder, user: user).fill(store.content.files)
    return record(outcome, store, Opened(cipher: cipher, epoch: epoch, identityKey: store.content.identityKey, faults: faults))
  }

  /// An older firmware shall open none of it any more. Where that fails it opens as before, and the next boot tries again.
  private func sealAnew(_ store: IdentStore, _ faults: inout [String]) {
    guard store.isOutdated else { return }
    do throws(BoardError) { try store.sealAnew() } catch { faults.append("the keys were not sealed anew for this firmware's security epoch: \(error.reason)") }
  }

  /// Compares the starts that the volume and the store have counted, and counts this one: in the volume first, so that one that is behind is an older copy.
  private func count(_ content: inout IdentContent, _ faults: inout [String]) throws(BoardError) {
    let starts = VolumeStarts(folders: folders)
    let next = try starts.next(told: content.dataStart)
    do throws(BoardError) {
      try starts.write(next)
      content.dataStart = next
    } catch {
      faults.append("this start was not counted, so that a copy of the disk from now does not show: \(error.reason)")
    }
  }

  /// Writes down what became of an order about the recovery key. What is cut off before, or fails, the next boot finds as it is and does again.
  private func record(_ outcome: RecoveryOutcome, _ store: IdentStore, _ opened: Opened) -> Opened {
    var opened = opened
    opened.recoveryKey = store.content.recovery?.key
    var content = store.content
    content.wish = nil
    switch outcome {
    case .nothing: return opened
    case .made(let slot):
      content.recovery = slot
      opened.change = .made
    case .removed:
      content.recovery = nil
      opened.change = .removed
    case .failed(let reason, let isPending):
      opened.change = .failed
      opened.faults.append(reason)
      if isPending { return opened }
    }
    do throws(BoardError) {
      try store.commit(content)
      opened.recoveryKey = content.recovery?.key
    } catch {
      opened.change = .failed
      opened.faults.append(error.reason)
    }
    return opened
  }

  /// The partition, with the rest of the disk where there is any. Nothing that counts lies in it.
  private func grown(_ data: BlockPartition) throws(BoardError) -> BlockPartition {
    guard try DiskGrowth(path: data.path).run() else { return data }
    return try BlockPartition(name: data.name, path: data.path)
  }

  // MARK: Parts

  private struct Parts {
    let ident: BlockPartition
    let data: BlockPartition
  }

  private enum Root {
    case present(any SealingRootOfTrust)
    case absent(reason: String)
  }

  private func find() throws(BoardError) -> Parts? {
    guard let ident = try BlockPartition.find("ident") else { return nil }
    guard let data = try BlockPartition.find("data") else { throw IdentStore.damage("the disk has a partition ident and no partition data") }
    return Parts(ident: ident, data: data)
  }

  /// As `find`; where the TPM knows this device its disk is waited for, and is never taken for one that it does not have.
  private func findAtBoot() throws(BoardError) -> Parts? {
    if let parts = try find() { return parts }
    #if HAECHI_DEVICE_LIBRARIES
      guard let device = TPM2RootOfTrust.device, try makeVault(device).value(of: .identityEpoch) != nil else { return nil }
      for _ in 0..<Self.diskLooks {
        usleep(Self.diskPause_us)
        if let parts = try find() { return parts }
      }
      throw IdentStore.damage("the TPM knows this device, and there is no disk with partitions ident and data")
    #else
      return nil
    #endif
  }

  /// Five seconds: disks are found by the kernel while PID 1 runs already.
  private static let diskLooks = 20
  private static let diskPause_us: UInt32 = 250_000

  private func require() throws(BoardError) -> (Parts, any SealingRootOfTrust) {
    guard let parts = try find(), case .present(let root) = try chooseRoot(ident: parts.ident) else {
      throw BoardError(code: "storage-not-there", reason: "there is no storage on this machine")
    }
    return (parts, root)
  }

  private func chooseRoot(ident: BlockPartition) throws(BoardError) -> Root {
    if let device = TPM2RootOfTrust.device {
      #if HAECHI_DEVICE_LIBRARIES
        return .present(try makeVault(device))
      #else
        throw Self.notBuiltIn(device)
      #endif
    }
    let area = try KeyArea.find(ident)
    #if HAECHI_DEBUG
      // What a TPM sealed is not to be overwritten by a machine that lost it.
      if case .made(.tpm2, _, _) = area { throw Self.noTPM }
      return .present(try DevelopmentRootOfTrust(partition: ident))
    #else
      switch area {
      case .made(.development, _, _):
        throw BoardError(
          code: BoardError.lockedCode,
          reason: "the partition ident was sealed by a debug firmware without a TPM, which keeps nothing secret: a release firmware refuses it")
      case .made, .unreadable: throw Self.noTPM
      case .empty: return .absent(reason: "this machine has no TPM, so there is nothing to seal a key with")
      }
    #endif
  }

  #if !HAECHI_DEVICE_LIBRARIES
    private static func notBuiltIn(_ device: String) -> BoardError {
      BoardError(code: "not-built-in", reason: "this program was built without tpm2-tss: cross-build it for the device to use \(device)")
    }
  #endif

  private static let noTPM = BoardError(code: BoardError.lockedCode, reason: "the partition ident was sealed by a TPM, and this machine has none")

  #if HAECHI_DEVICE_LIBRARIES
    private func makeVault(_ device: String) throws(BoardError) -> TPM2Vault {
      try TPM2Vault(device: device, registers: registers, authority: try SealAuthority.read(authorityPath))
    }

    private func makeVolume(_ partition: BlockPartition, _ root: any SealingRootOfTrust) -> DataVolume {
      DataVolume(partition: partition, root: root, folders: folders, user: user)
    }
  #else
    /// What a host program has instead of libcryptsetup.
    private struct NoVolume {
      private static let missing = BoardError(code: "not-built-in", reason: "this program was built without libcryptsetup: cross-build it for the device")
      func open(_: VolumeCipher, content _: IdentContent, sealsAhead _: Bool) throws(BoardError) -> RecoveryOutcome { throw Self.missing }
      func make(_: VolumeCipher, epoch _: UInt64) throws(BoardError) { throw Self.missing }
      func destroy() throws(BoardError) { throw Self.missing }
      func close() throws(BoardError) { throw Self.missing }
    }
    private func makeVolume(_: BlockPartition, _: any SealingRootOfTrust) -> NoVolume { NoVolume() }
  #endif
}
