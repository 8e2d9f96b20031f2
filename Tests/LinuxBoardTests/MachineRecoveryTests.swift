#if HAECHI_DEVICE_LIBRARIES
  import BoardAPI
  import CCryptsetup
  import Foundations
  import Glibc
  import Testing

  @testable import LinuxBoard

  /// The key slots of the owner's recovery key.
  extension MachineTests.StorageTests {
    @Test func aRecoveryKeyIsMadeReplacedAndRemovedByTheNextBoots() throws {
      var facts = machine.open()
      #expect(facts.recoveryKey == nil && facts.recoveryChange == .none)
      machine.write("kept", to: machine.state + "/owner.json")
      let (first, second) = (machine.recovery(1), machine.recovery(2))
      try machine.storage.order(.set(passphrase: SecretBytes(copying: first.passphrase), first.facts))
      // Its passphrase is nowhere in the clear, and not in force yet.
      #expect(try machine.holds(String(decoding: first.passphrase, as: UTF8.self)) == false)
      #expect(try machine.slots(first.passphrase) == [])
      try machine.powerCycle()
      facts = machine.open()
      #expect(facts.state == .open && facts.recoveryChange == .made && facts.recoveryKey == first.facts)
      #expect(machine.read(machine.state + "/owner.json") == "kept")
      try machine.powerCycle()
      facts = machine.open()
      #expect(facts.state == .open && facts.recoveryChange == .none && facts.recoveryKey == first.facts)
      #expect(try machine.slots(first.passphrase) == [0] && machine.slots(second.passphrase) == [])

      try machine.storage.order(.set(passphrase: SecretBytes(copying: second.passphrase), second.facts))
      // What the runtime keeps meanwhile does not undo it.
      machine.write("1", to: machine.identity + "/lockout.json")
      #expect(try machine.storage.commitIdentity() == .none)
      try machine.powerCycle()
      facts = machine.open()
      #expect(facts.recoveryChange == .made && facts.recoveryKey == second.facts)
      #expect(try machine.slots(first.passphrase) == [] && machine.slots(second.passphrase) == [1])

      try machine.storage.order(.remove)
      try machine.powerCycle()
      facts = machine.open()
      #expect(facts.state == .open && facts.recoveryChange == .removed && facts.recoveryKey == nil)
      #expect(try machine.slots(second.passphrase) == [])
      try machine.powerCycle()
      #expect(machine.open().state == .open && machine.read(machine.state + "/owner.json") == "kept")
    }

    /// The power goes after any step of the boot that does it: the old key or the new one opens the disk, and the boot after that ends it.
    @Test func anOrderThatWasCutOffIsEndedByTheNextBoot() throws {
      #expect(machine.open().state == .open)
      try machine.powerCycle()
      var old = machine.recovery(1)
      try machine.storage.order(.set(passphrase: SecretBytes(copying: old.passphrase), old.facts))
      #expect(machine.open().recoveryKey == old.facts)
      try machine.powerCycle()
      let data = try #require(try BlockPartition.find("data"))
      var slot: UInt8 = 0
      // Nothing was done yet; the new slot is there; the old one is gone; the new slot is one of an order that another one has replaced.
      for (steps, number) in zip(0..., [2, 3, 4, 5] as [UInt8]) {
        let new = machine.recovery(number)
        try machine.storage.order(.set(passphrase: SecretBytes(copying: new.passphrase), new.facts))
        let volume = try LUKSVolume(data)
        try volume.load(.aesXTS, slots: [slot])
        let key = try machine.unseal(volume)
        if steps > 0 { try volume.addSlot(1 - slot, passphrase: steps == 3 ? machine.recovery(9).passphrase : new.passphrase, key: key) }
        if steps == 2 { try volume.removeSlot(slot) }
        #expect(try !machine.slots(old.passphrase).isEmpty || !machine.slots(new.passphrase).isEmpty)
        let facts = machine.open()
        #expect(facts.state == .open && facts.recoveryChange == .made && facts.recoveryKey == new.facts, "\(steps) steps: \(facts.reason)")
        slot = 1 - slot
        #expect(try machine.slots(new.passphrase) == [slot] && machine.slots(old.passphrase) == [])
        old = new
        try machine.powerCycle()
      }
      // What was withdrawn does not come back with an older copy of the header.
      let header = try data.read(at: 0, count: 1 << 20)
      let new = machine.recovery(6)
      try machine.storage.order(.set(passphrase: SecretBytes(copying: new.passphrase), new.facts))
      #expect(machine.open().recoveryKey == new.facts)
      try machine.powerCycle()
      try data.write(header, at: 0)
      #expect(machine.open().reason.contains("a key slot \(slot) that this firmware did not make"))
    }

    @Test func aKeySlotOfSomebodyElsesIsRefused() throws {
      #expect(machine.open().state == .open)
      try machine.powerCycle()
      let data = try #require(try BlockPartition.find("data"))
      let header = try data.read(at: 0, count: 1 << 20)
      let volume = try LUKSVolume(data)
      try volume.load(.aesXTS)
      let key = try machine.unseal(volume)
      let (mine, passphrase) = (machine.recovery(1), Array("somebody else's".utf8))
      // One that was never ordered.
      #expect(volume.fulfil(.set(passphrase: passphrase, mine.facts), present: nil, key: key) == .made(RecoverySlot(number: 0, key: mine.facts)))
      #expect(machine.open().reason.contains("a key slot 0 that this firmware did not make"))
      // One in the place of the one that was, made in another way.
      try data.write(header, at: 0)
      try machine.storage.order(.set(passphrase: SecretBytes(copying: mine.passphrase), mine.facts))
      #expect(machine.open().recoveryKey == mine.facts)
      for (change, words) in [(TestSlot.iterations, "derivation pbkdf2, sha256, 2000"), (.cipher, "encryption aes-cbc-essiv"), (.third, "a key slot 2")] {
        try machine.powerCycle()
        let whole = try data.read(at: 0, count: 1 << 20)
        try change.put(into: data, key: key)
        let facts = machine.open()
        #expect(facts.state == .damaged && facts.reason.contains(words), "\(facts.reason)")
        try data.write(whole, at: 0)
      }
      #expect(machine.open().state == .open)
    }

    @Test func aWipeTakesTheRecoveryKeyWithIt() throws {
      #expect(machine.open().state == .open)
      let key = machine.recovery(1)
      try machine.storage.order(.set(passphrase: SecretBytes(copying: key.passphrase), key.facts))
      try machine.powerCycle()
      #expect(machine.open().recoveryKey == key.facts)
      // Another is on its way, and goes too.
      let next = machine.recovery(2)
      try machine.storage.order(.set(passphrase: SecretBytes(copying: next.passphrase), next.facts))
      #expect(try machine.storage.recordWipe() == .none)
      #expect(throws: BoardError.self) { try machine.storage.order(.remove) }
      try machine.storage.wipe()
      try machine.powerCycle()
      let facts = machine.open()
      #expect(facts.state == .open && facts.recoveryKey == nil && facts.recoveryChange == .none)
      #expect(try machine.slots(key.passphrase) == [] && machine.slots(next.passphrase) == [])
      try machine.powerCycle()
      #expect(machine.open().recoveryKey == nil)
    }

    /// The boot that made the newer key could not write it down: what is there is not what is written, and it is the only one that opens the disk.
    @Test func theOnlyKeyThatOpensItStaysUntilTheNextOneDoes() throws {
      #expect(machine.open().state == .open)
      try machine.powerCycle()
      let data = try #require(try BlockPartition.find("data"))
      let volume = try LUKSVolume(data)
      try volume.load(.aesXTS)
      let key = try machine.unseal(volume)
      let (written, there, next) = (machine.recovery(1), machine.recovery(2), machine.recovery(3))
      try volume.addSlot(1, passphrase: there.passphrase, key: key)
      let outcome = volume.fulfil(.set(passphrase: next.passphrase, next.facts), present: RecoverySlot(number: 0, key: written.facts), key: key)
      #expect(outcome == .made(RecoverySlot(number: 0, key: next.facts)), "a slot of its own, beside the one that opens it")
      #expect(volume.opens(0, next.passphrase) && !volume.opens(1, there.passphrase))
    }
  }

  /// A key slot as somebody else would make it.
  enum TestSlot {
    case iterations, cipher, third

    func put(into data: BlockPartition, key: SecretBytes) throws {
      let volume = try LUKSVolume(data)
      try volume.load(.aesXTS, slots: [0, 1])
      var derivation = crypt_pbkdf_type()
      let made: CInt = "pbkdf2".withCString { type in
        "sha256".withCString { hash in
          derivation.type = type
          derivation.hash = hash
          derivation.iterations = self == .iterations ? 2_000 : 1_000
          // CRYPT_PBKDF_NO_BENCHMARK, a cast that does not come through to Swift.
          derivation.flags = 1 << 1
          _ = crypt_set_pbkdf_type(volume.context, &derivation)
          _ = crypt_keyslot_set_encryption(volume.context, self == .cipher ? "aes-cbc-essiv:sha256" : "aes-xts-plain64", self == .cipher ? 32 : 64)
          if self != .third { crypt_keyslot_destroy(volume.context, 0) }
          return key.withUnsafeBytes {
            crypt_keyslot_add_by_volume_key(volume.context, self == .third ? 2 : 0, $0.bindMemory(to: CChar.self).baseAddress, $0.count, "theirs", 6)
          }
        }
      }
      #expect(made >= 0)
    }
  }
#endif
