#if HAECHI_DEVICE_LIBRARIES
  import BoardAPI
  import Foundations
  import Glibc
  import Testing

  @testable import LinuxBoard

  extension MachineTests {
    /// Which firmware a real TPM opens the keys for, and which copies of the disk.
    @Suite(.serialized) struct SealTests {
      let machine: StorageMachine
      init() throws { machine = try StorageMachine() }

      @Test func firmwareOfAnotherMakerDoesNotOpenIt() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        let facts = machine.open(.other)
        #expect(facts.state == .locked && facts.rootOfTrust == .tpm2)
        #expect(facts.reason.contains("the firmware of another maker or variant"))
        #expect(throws: BoardError.self) { try machine.storage(.other).commitIdentity() }
        #expect(machine.open().state == .open)
      }

      @Test func aStateOfSecureBootThatNobodyHasSignedGetsNoKey() throws {
        let first = machine.open(.uefi)
        #expect(first.state == .locked && first.reason.hasPrefix("PCR 7 is 00000000"))
        try machine.powerCycle()
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        #expect(machine.open(.uefi).state == .locked)
      }

      @Test func laterFirmwareOpensItAndFromThenOnNoEarlierOne() throws {
        let epoch = machine.open().identityEpoch
        machine.write("kept", to: machine.state + "/file")
        try machine.powerCycle()
        let (ident, data) = (try #require(try BlockPartition.find("ident")), try #require(try BlockPartition.find("data")))
        let (oldKeys, oldHeader) = (try ident.read(at: 0, count: 64 << 10), try data.read(at: 0, count: 1 << 20))
        for _ in 0..<2 {
          let facts = machine.open(.second)
          #expect(facts.state == .open && facts.identityEpoch == epoch && facts.reason == "")
          #expect(machine.read(machine.state + "/file") == "kept")
          try machine.powerCycle()
        }
        let earlier = machine.open(.first)
        #expect(earlier.state == .locked && earlier.reason.contains("asks for security epoch 2, and this is an older firmware, of epoch 1"))
        try machine.powerCycle()
        // Nor does it open what was sealed for it once.
        let (newKeys, newHeader) = (try ident.read(at: 0, count: 64 << 10), try data.read(at: 0, count: 1 << 20))
        try data.write(oldHeader, at: 0)
        let volume = try LUKSVolume(data)
        try volume.load(.aesXTS)
        let refusal = #expect(throws: BoardError.self) { _ = try machine.unseal(volume) }
        #expect(refusal?.reason.contains("before a firmware of a later security epoch ran here") == true)
        try ident.write(oldKeys, at: 0)
        #expect(machine.open(.first).state == .locked)
        try machine.powerCycle()
        try ident.write(newKeys, at: 0)
        try data.write(newHeader, at: 0)
        #expect(machine.open(.second).state == .open)
        // And it is wiped as ever.
        try machine.storage(.second).wipe()
        try machine.powerCycle()
        #expect(machine.open(.second).identityEpoch == epoch + 1)
        #expect(machine.names(machine.state) == [])
      }

      /// Both keys lie there twice, and the counter has not risen: the earlier firmware goes on, and the later one does it once more.
      @Test func sealingAnewThatWasCutOffIsDoneAgain() throws {
        let epoch = machine.open().identityEpoch
        machine.write("kept", to: machine.state + "/file")
        try machine.powerCycle()
        let (ident, data) = (try #require(try BlockPartition.find("ident")), try #require(try BlockPartition.find("data")))
        for firmware in [StorageMachine.Firmware.first, .second] {
          let vault = try machine.vault(.second)
          let key = try vault.unseal(sealedKey(ident, vault))
          try KeyArea.write(kind: .tpm2, blob: try vault.sealAhead(key, to: .firmware), to: ident, at: .second)
          var content = IdentContent()
          content.dataEpoch = epoch
          let volume = DataVolume(partition: data, root: vault, folders: machine.folders, user: (900, 900))
          #expect(try volume.open(.aesXTS, content: content, sealsAhead: true) == .nothing)
          try machine.powerCycle()
          let facts = machine.open(firmware)
          #expect(facts.state == .open && facts.reason == "")
          #expect(machine.read(machine.state + "/file") == "kept")
          try machine.powerCycle()
        }
        #expect(machine.open(.first).state == .locked)
      }

      private func sealedKey(_ ident: BlockPartition, _ vault: TPM2Vault) throws -> [UInt8] {
        guard case .made(_, let blob, _) = try KeyArea.find(ident, root: vault) else { return [] }
        return blob
      }

      /// Whoever runs first in a boot and is not our firmware cannot say that it is.
      @Test func aRegisterThatSomebodyElseExtendedOpensNothing() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        try machine.extendEpoch()
        let facts = machine.open()
        #expect(facts.state == .locked && facts.reason.contains("PCR 23 was extended by something other"))
      }

      @Test func aPolicyThatWasEditedIsNotTheObjects() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        let ident = try #require(try BlockPartition.find("ident"))
        _ = machine.open(.second)
        try machine.powerCycle()
        // As if it had been sealed for the earlier firmware.
        let vault = try machine.vault()
        let blob = try SealedBlob(decoding: sealedKey(ident, vault))
        let edited = SealedBlob(
          binding: blob.binding, demand: SealDemand(start: blob.demand.start, epoch: 1, signer: blob.demand.signer), count: blob.count, object: blob.object)
        let refusal = #expect(throws: BoardError.self) { _ = try vault.unseal(edited.encoded()) }
        #expect(refusal?.code == BoardError.lockedCode && refusal?.reason.contains("another policy") == true)
      }

      @Test(arguments: ["1", nil]) func aVolumeFromAnEarlierStartIsRefused(_ starts: String?) throws {
        for _ in 0..<3 {
          #expect(machine.open().state == .open)
          try machine.powerCycle()
        }
        #expect(machine.open().state == .open)
        let path = machine.folders.mount + "/starts"
        #expect(machine.read(path) == "4")
        if let starts { machine.write(starts, to: path) } else { unlink(path) }
        try machine.powerCycle()
        let facts = machine.open()
        #expect(facts.state == .damaged && facts.reason.contains("older copy"), "\(facts.reason)")
        // Nothing of it is there to be used.
        #expect(TestMachine.mount(at: machine.folders.mount) == nil && machine.names(machine.state) == [])
        #expect(access(LUKSVolume.device, F_OK) != 0)
      }
    }
  }
#endif
