#if HAECHI_DEVICE_LIBRARIES
  import BoardAPI
  import CTss2
  import Foundations
  import Glibc
  import Testing

  @testable import LinuxBoard

  /// The machine's disk and TPM, for one test at a time.
  struct StorageMachine {
    let identity: String
    let folders = LinuxBoard.dataFolders
    var state: String { folders.state }
    /// Two that can be reset without a restart (TCG PC Client Platform TPM Profile 4.6.2). The third is as a machine has it that was started without UEFI.
    let registers = SealRegisters(epoch: 23, phase: 16)

    /// Whose signature is in the firmware that plays: a test image has one file for each (Images/make-image).
    enum Firmware: String {
      case first = ""
      /// Of the same maker, and of security epoch 2.
      case second = "-2"
      /// Of another maker.
      case other = "-other"
      /// For machines that UEFI starts alone.
      case uefi = "-uefi"
    }

    init() throws {
      identity = TestMachine.board.runtimeIdentityFolder
      try powerCycle()
      try clearTPM()
      if let ident = try BlockPartition.find("ident") { try ident.write([UInt8](repeating: 0, count: 4 << 20), at: 0) }
    }

    var storage: LinuxStorage { storage(.first) }
    /// Of a firmware that has told the TPM who it is. One that is not the first in a start of the machine has no say in that.
    func storage(_ firmware: Firmware) -> LinuxStorage {
      let storage = LinuxStorage(
        identityFolder: identity, folders: folders, user: (900, 900), registers: registers, authorityPath: SealAuthority.path + firmware.rawValue)
      try? storage.announceFirmware()
      return storage
    }

    func open(_ firmware: Firmware = .first) -> StorageFacts { storage(firmware).open() }

    func authority(_ firmware: Firmware) throws -> SealAuthority { try SealAuthority.read(SealAuthority.path + firmware.rawValue) }
    func vault(_ firmware: Firmware = .first) throws -> TPM2Vault {
      _ = storage(firmware)
      return try TPM2Vault(device: TPM2RootOfTrust.device ?? "", registers: registers, authority: try authority(firmware))
    }

    /// The volume's key, as its header keeps it.
    func unseal(_ volume: LUKSVolume, _ firmware: Firmware = .first) throws -> SecretBytes {
      let vault = try vault(firmware)
      return try vault.unseal(try volume.keptBlob(root: vault).blob)
    }

    /// What a restart does: nothing is mounted, open or in memory.
    func powerCycle(resettingRegisters: Bool = true) throws {
      sync()
      while TestMachine.mount(at: folders.mount) != nil { guard umount(folders.mount) == 0 else { break } }
      try LUKSVolume.deactivate()
      for name in names(identity) { unlink(identity + "/" + name) }
      guard resettingRegisters else { return }
      let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
      for register in [registers.epoch, registers.phase] {
        try tpm.check(
          Esys_PCR_Reset(tpm.context, register, haechi_tpm_empty_password, haechi_tpm_no_session, haechi_tpm_no_session), "TPM2_PCR_Reset")
      }
    }

    /// Gives the TPM a new storage seed and no counters, as another TPM has.
    func clearTPM() throws {
      let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
      try tpm.check(
        Esys_Clear(tpm.context, haechi_tpm_lockout, haechi_tpm_empty_password, haechi_tpm_no_session, haechi_tpm_no_session), "TPM2_Clear")
    }

    func extendEpoch() throws {
      try TPM2(device: TPM2RootOfTrust.device ?? "").extend(register: registers.epoch, by: [UInt8](repeating: 1, count: 32))
    }

    /// A recovery key of its own for each number, as long as real ones are.
    func recovery(_ number: UInt8) -> (passphrase: [UInt8], facts: RecoveryKeyFacts) {
      let passphrase = [UInt8](repeating: UInt8(ascii: "A") + number, count: 69)
      return (passphrase, RecoveryKeyFacts(fingerprint: [UInt8](repeating: number, count: 8), ordered_s: 1_700_000_000 + Int64(number)))
    }

    /// The key slots of `data` that a passphrase opens.
    func slots(_ passphrase: [UInt8]) throws -> [UInt8] {
      guard let data = try BlockPartition.find("data") else { return [] }
      let volume = try LUKSVolume(data)
      try volume.load(.aesXTS, slots: [0, 1])
      return RecoverySlot.all.filter { volume.opens($0, passphrase) }
    }

    /// Whether the first part of either partition holds the text.
    func holds(_ text: String) throws -> Bool { try holds(Array(text.utf8)) }
    func holds(_ wanted: [UInt8]) throws -> Bool {
      for name in ["ident", "data"] {
        guard let partition = try BlockPartition.find(name) else { continue }
        let bytes = try partition.read(at: 0, count: Int(min(partition.size_bytes, 24 << 20)))
        let found = bytes.withUnsafeBytes { bytes in bytes.baseAddress.flatMap { memmem($0, bytes.count, wanted, wanted.count) } }
        if found != nil { return true }
      }
      return false
    }

    func isZero(_ bytes: [UInt8]) -> Bool { memcmp(bytes, [UInt8](repeating: 0, count: bytes.count), bytes.count) == 0 }

    func names(_ folder: String) -> [String] {
      guard let listing = opendir(folder) else { return [] }
      defer { closedir(listing) }
      var names: [String] = []
      while let entry = readdir(listing) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { names.append(name) }
      }
      return names.sorted()
    }

    func write(_ text: String, to path: String) { try? AtomicFile.replace(path, with: Array(text.utf8)) }
    func read(_ path: String) -> String? {
      (try? AtomicFile.read(path, maximum_bytes: 4_096)).flatMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
    }
  }
#endif
