#if HAECHI_DEVICE_LIBRARIES
  import BoardAPI
  import CTss2
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

      /// What is foretold of other firmware is what happens, and nothing is changed by asking.
      @Test func itIsKnownBeforehandWhetherOtherFirmwareWillOpenIt() throws {
        #expect(machine.open().state == .open)
        func seal(_ firmware: StorageMachine.Firmware) throws -> [UInt8] {
          try AtomicFile.readSmall(SealAuthority.path + firmware.rawValue, maximum_bytes: SealAuthority.maximum_bytes)
        }
        func refusal(_ seal: [UInt8], asked by: StorageMachine.Firmware = .first) -> String {
          do throws(BoardError) {
            try machine.storage(by).forecast(for: seal)
            return ""
          } catch {
            return error.reason
          }
        }
        #expect(try refusal(seal(.first)) == "")
        #expect(try refusal(seal(.second)) == "")
        #expect(try refusal(seal(.other)).contains("the firmware of another maker or variant"))
        #expect(try refusal(seal(.uefi)).hasPrefix("PCR 7 is 00000000"))
        #expect(refusal([]).contains("does not say what may open its disk keys"))
        // Signatures that are none, in a file that is whole otherwise.
        var forged = try seal(.second)
        for place in (forged.count - 256)..<forged.count { forged[place] ^= 1 }
        for place in (forged.count - 512)..<(forged.count - 256) { forged[place] ^= 1 }
        #expect(refusal(forged).contains("TPM2_VerifySignature failed"))
        for firmware in [StorageMachine.Firmware.other, .uefi] {
          try machine.powerCycle()
          #expect(machine.open(firmware).state == .locked)
        }
        for _ in 0..<2 {
          try machine.powerCycle()
          #expect(machine.open(.second).state == .open)
        }
        #expect(try refusal(seal(.first), asked: .second).contains("asks for security epoch 2, and this is an older firmware"))
        #expect(try refusal(seal(.second), asked: .second) == "")
        try machine.powerCycle()
        #expect(machine.open(.first).state == .locked)
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
        #expect(facts.state == .locked && facts.reason.contains("PCR 23 was not extended by security epoch 1"))
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

      /// Who is not our firmware asks the TPM itself, with signatures of ours, which every image holds.
      @Test func theTPMItselfRefusesASignatureThatIsForOtherRegisters() throws {
        #expect(machine.open().state == .open)
        let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
        let (first, second, state) = (try machine.authority(.first), try machine.authority(.second), try tpm.secureBootState())
        let own = SealDemand(start: .direct, epoch: 1, signer: first.signer)
        let (registers, modulus) = (machine.registers, first.modulus)
        func attempt(_ asserted: [UInt32], _ policy: [UInt8], _ demand: SealDemand, _ signature: [UInt8]) throws -> String {
          let storageKey = try tpm.makeStorageKey()
          defer { tpm.flush(storageKey) }
          let session = try tpm.startSession(haechi_tpm_policy_session, salt: storageKey, encrypts: haechi_tpm_session_encrypts_response)
          defer { tpm.flush(session) }
          do throws(BoardError) {
            try tpm.assert(asserted, in: session)
            try tpm.assertAuthorised(policy, reference: demand.reference(registers), signature: signature, modulus: modulus, in: session)
            return ""
          } catch {
            return error.reason
          }
        }
        let both = [registers.firmware, registers.epoch]
        let genuine = try first.signature(for: own, in: state)
        #expect(try attempt(both, first.policy(in: state, registers: registers), own, genuine) == "")
        // As the later firmware, while the TPM was told of the earlier one.
        let later = try second.signature(for: own, in: state)
        let refusal = "the machine's registers are not as the maker has authorised them"
        #expect(try attempt(both, second.policy(in: state, registers: registers), own, later) == refusal)
        // In another state of Secure Boot.
        let uefi = try #require(first.approvals.first { $0.start == .uefi })
        let other = SealDemand(start: .uefi, epoch: 1, signer: first.signer)
        #expect(try attempt(both, first.policy(in: uefi.state, registers: registers), other, uefi.signatures[0]) == refusal)
        // With another register than the one that the firmware extends.
        #expect(try attempt([registers.firmware, registers.phase], first.policy(in: state, registers: registers), own, genuine) == refusal)
        // A signature that is for another key, or for nothing.
        #expect(try attempt(both, first.policy(in: state, registers: registers), other, genuine).contains("TPM2_VerifySignature failed"))
      }

      /// The right volume is put back, and has lost nothing.
      @Test func anOlderVolumeUnderLaterFirmwareCostsTheRightOneNothing() throws {
        #expect(machine.open().state == .open)
        machine.write("kept", to: machine.state + "/file")
        let path = machine.folders.mount + "/starts"
        let older = try AtomicFile.read(path, maximum_bytes: 8_192)
        try machine.powerCycle()
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        #expect(machine.open().state == .open)
        let newer = try AtomicFile.read(path, maximum_bytes: 8_192)
        try AtomicFile.replace(path, with: try #require(older))
        try machine.powerCycle()
        #expect(machine.open(.second).state == .damaged)
        try machine.powerCycle()
        // What stands for the other volume has another number; the keys in front of it are the same.
        let data = try #require(try BlockPartition.find("data"))
        let vault = try machine.vault(.first)
        let volume = DataVolume(partition: data, root: vault, folders: machine.folders, user: (900, 900))
        #expect(try volume.open(.aesXTS, content: IdentContent()) == .nothing)
        try AtomicFile.replace(path, with: try #require(newer))
        try machine.powerCycle()
        #expect(machine.open(.first).state == .open)
        #expect(machine.read(machine.state + "/file") == "kept")
      }

      @Test func whereNothingCanBeSealedNothingIsDestroyed() throws {
        #expect(machine.open().state == .open)
        machine.write("kept", to: machine.state + "/file")
        try machine.powerCycle()
        #expect(machine.open(.uefi).state == .locked)
        #expect(throws: BoardError.self) { try machine.storage(.uefi).remake() }
        try machine.powerCycle()
        #expect(machine.open().state == .open)
        #expect(machine.read(machine.state + "/file") == "kept")
      }

      /// The owner's authorisation is empty: who speaks to the TPM may put something that can be written in a counter's place.
      @Test func whatStandsInACountersPlaceIsNoCounter() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
        let index = TPM2Vault.index(of: .identGeneration)
        let counter = try #require(try tpm.counter(at: index))
        let none = haechi_tpm_no_session
        try tpm.check(Esys_NV_UndefineSpace(tpm.context, haechi_tpm_owner, counter, haechi_tpm_empty_password, none, none), "TPM2_NV_UndefineSpace")
        var space = TPM2B_NV_PUBLIC()
        haechi_tpm_counter(&space, index)
        // TPMA_NV without its type: an ordinary index of eight bytes.
        space.nvPublic.attributes &= ~0xf0
        var (authorisation, made) = (TPM2B_AUTH(), ESYS_TR())
        try tpm.check(
          Esys_NV_DefineSpace(tpm.context, haechi_tpm_owner, haechi_tpm_empty_password, none, none, &authorisation, &space, &made), "TPM2_NV_DefineSpace")
        let facts = machine.open()
        #expect(facts.state == .damaged && facts.reason.contains("is no counter of ours"), "\(facts.reason)")
        #expect(TestMachine.mount(at: machine.folders.mount) == nil)
      }

      @Test(arguments: [true, false]) func aVolumeFromAnEarlierStartIsRefused(_ isThere: Bool) throws {
        for _ in 0..<3 {
          #expect(machine.open().state == .open)
          try machine.powerCycle()
        }
        #expect(machine.open().state == .open)
        let path = machine.folders.mount + "/starts"
        unlink(path)
        if isThere { try VolumeStarts(folders: machine.folders).write(1) }
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
