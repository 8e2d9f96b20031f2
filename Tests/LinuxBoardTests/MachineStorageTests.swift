#if HAECHI_DEVICE_LIBRARIES
  import Audit
  import BoardAPI
  import Foundations
  import Glibc
  import Testing

  @testable import LinuxBoard

  extension MachineTests {
    /// The real partitions, device mapper, ext4 and TPM. Each test begins with a TPM and a disk that know nothing of each other.
    @Suite(.serialized) struct StorageTests {
      let machine: StorageMachine
      init() throws { machine = try StorageMachine() }

      @Test func theFirstBootMakesItAndLaterOnesOpenIt() throws {
        let epoch = machine.open().identityEpoch
        #expect(try machine.vault().value(of: .identityEpoch) == epoch)
        try machine.powerCycle()
        let opened = machine.open()
        #expect(
          opened
            == StorageFacts(
              state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: epoch, identityKey: opened.identityKey))
        let mount = try #require(TestMachine.mount(at: machine.folders.mount))
        #expect(mount.type == "ext4")
        #expect(mount.options.isSuperset(of: ["rw", "nodev", "nosuid", "noexec"]))
        var facts = stat()
        #expect(stat(machine.state, &facts) == 0 && facts.st_mode & 0o7777 == 0o700 && facts.st_uid == 900)
        // The runtime reads the audit log's folder, and can neither write there nor put another in its place.
        for folder in [machine.folders.mount, machine.folders.audit] {
          #expect(stat(folder, &facts) == 0 && facts.st_mode & 0o7777 == 0o755 && facts.st_uid == 0)
        }
        // What the supervisor must not forget is nobody else's to read.
        #expect(stat(machine.folders.supervisor, &facts) == 0 && facts.st_mode & 0o7777 == 0o700 && facts.st_uid == 0)
        // The partition of 256 MiB has grown by the 64 MiB that the disk is larger than its image, and the file system, which takes some, to that.
        var room = statvfs()
        #expect(statvfs(machine.state, &room) == 0 && UInt64(room.f_blocks) * UInt64(room.f_frsize) > 300 << 20)
        #expect(try BlockPartition.find("data")?.size_bytes == 320 << 20)
        #expect(machine.names(machine.state) == [])

        machine.write("haechi canary, which is nowhere in the clear", to: machine.state + "/owner.json")
        machine.write("haechi canary, of the identity", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == .none)
        try machine.powerCycle()
        #expect(machine.names(machine.identity) == [] && machine.names(machine.state) == [])
        #expect(try machine.holds("haechi canary") == false)

        #expect(machine.open().state == .open)
        #expect(machine.read(machine.state + "/owner.json") == "haechi canary, which is nowhere in the clear")
        #expect(machine.read(machine.identity + "/identity.json") == "haechi canary, of the identity")
        #expect(stat(machine.identity + "/identity.json", &facts) == 0 && facts.st_mode & 0o7777 == 0o600 && facts.st_uid == 900)
        // The identity is kept again in the same boot, though the data key is not given out any more.
        machine.write("2", to: machine.identity + "/lockout.json")
        #expect(try machine.storage.commitIdentity() == .none)
        try machine.powerCycle()
        #expect(machine.open().state == .open)
        #expect(machine.names(machine.identity) == ["identity.json", "lockout.json"])
      }

      /// Root's share of the blocks, and the files that the log made when it began.
      @Test func aRuntimeThatFillsTheVolumeStopsNoEntryOfTheAuditLog() throws {
        #expect(machine.open().state == .open)
        let log = AuditLog(folder: machine.folders.audit)
        let device = try #require(DeviceIdentifier("00112233445566778899"))
        let arrival = AuditLog.Arrival(AuditEvent(.statementAccepted, .word(AuditWord("release")), .number(1)), time_s: 1_760_000_000, uptime_ms: 1)
        try log.append([arrival], device: device, owner: nil)
        // As the runtime: the rights that go beyond a user's own go with the user.
        try #require(seteuid(900) == 0)
        let filler = open(machine.state + "/fill", O_WRONLY | O_CREAT, 0o600)
        var end: off_t = 0
        for size: off_t in [1 << 20, 4_096] { while posix_fallocate(filler, end, size) == 0 { end += size } }
        close(filler)
        var files = 0
        while true {
          let number = open("\(machine.state)/\(files)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
          guard number >= 0 else { break }
          close(number)
          files += 1
        }
        let full = errno
        #expect(seteuid(0) == 0)
        #expect(full == ENOSPC && files > 100 && end > 200 << 20, "\(files) files, \(end) bytes")
        var room = statvfs()
        // The last file may fail for want of an inode, or of a block for the folder's own list.
        #expect(statvfs(machine.state, &room) == 0 && (room.f_bavail == 0 || room.f_ffree == 0), "\(room.f_bavail) blocks, \(room.f_ffree) inodes")
        #expect(room.f_bfree > 1_000)
        // Three times what is kept: each segment is written, dropped and written again.
        for _ in 0..<300 { try log.append([AuditLog.Arrival](repeating: arrival, count: 20), device: nil, owner: nil, isSigned: true) }
        let seen = try AuditVerification(export: try #require(try log.export()))
        #expect(seen.isClean && seen.signedTo > 6_000, "\(seen.findings)")
      }

      @Test func theDataKeyIsGivenOutOnceInABoot() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle(resettingRegisters: false)
        let facts = machine.open()
        #expect(facts.state == .locked)
        #expect(facts.reason.contains("given out in this boot already"))
      }

      @Test func anotherTPMDoesNotOpenIt() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        try machine.clearTPM()
        let facts = machine.open()
        #expect(facts.state == .locked)
        #expect(facts.reason.contains("another TPM"))
      }

      @Test func anEditedHeaderIsRefused() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        let data = try #require(try BlockPartition.find("data"))
        let header = try data.read(at: 0, count: 1 << 20)
        // Whole, with checksums that are right, and another cipher.
        try LUKSVolume(data).format(.adiantum, key: RecordCipher.randomKey(32))
        var facts = machine.open()
        #expect(facts.state == .damaged)
        #expect(facts.reason.contains("cipher xchacha12,aes where this firmware has aes"))
        // The right cipher, and another key.
        try LUKSVolume(data).format(.aesXTS, key: RecordCipher.randomKey(64))
        facts = machine.open()
        #expect(facts.state == .damaged)
        #expect(facts.reason.contains("no sealed key"))
        try data.write([UInt8](repeating: 0x5a, count: 1 << 20), at: 0)
        facts = machine.open()
        #expect(facts.state == .damaged)
        #expect(facts.reason.contains("no LUKS2 header"))
        // It was nothing but the header.
        try data.write(header, at: 0)
        #expect(machine.open().state == .open)
      }

      @Test func anEmptyIdentIsDamageAndNeverBlank() throws {
        #expect(machine.open().state == .open)
        try machine.powerCycle()
        try #require(try BlockPartition.find("ident")).write([UInt8](repeating: 0, count: 4 << 20), at: 0)
        let facts = machine.open()
        #expect(facts.state == .damaged)
        #expect(facts.reason.contains("is empty, and the root of trust knows this device"))
      }

      /// Whatever part is lost: what is made in its place begins as a first boot does, and no copy of before opens on the same TPM.
      @Test(arguments: ["ident", "data", "firmware", "tpm"]) func aStorageThatIsLostIsMadeAnew(_ part: String) throws {
        let epoch = machine.open().identityEpoch
        machine.write("gone", to: machine.state + "/owner.json")
        machine.write("gone too", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == .none)
        try machine.powerCycle()
        let (ident, data) = (try #require(try BlockPartition.find("ident")), try #require(try BlockPartition.find("data")))
        let (oldIdent, oldHeader) = (try ident.read(at: 0, count: 4 << 20), try data.read(at: 0, count: 1 << 20))
        let spoiled = [UInt8](repeating: 0x5a, count: 1 << 20)
        switch part {
        case "ident": try ident.write(spoiled, at: 0)
        case "data": try data.write(spoiled, at: 0)
        case "firmware": break
        default: try machine.clearTPM()
        }
        let firmware = part == "firmware" ? StorageMachine.Firmware.other : .first
        let lost = machine.open(firmware).state
        #expect(lost == (["ident", "data"].contains(part) ? .damaged : .locked))
        try machine.storage(firmware).remake()
        // What opens after it, opens in the next start of the machine.
        try machine.powerCycle()
        let facts = machine.open(firmware)
        #expect(facts.state == .open, "\(facts.reason)")
        #expect(part == "tpm" || facts.identityEpoch > epoch)
        #expect(machine.names(machine.identity) == [] && machine.names(machine.state) == [])
        machine.write("new", to: machine.identity + "/identity.json")
        #expect(try machine.storage(firmware).commitIdentity() == .none)
        try machine.powerCycle()
        try data.write(oldHeader, at: 0)
        #expect(machine.open(firmware).state != .open)
        try machine.powerCycle()
        try ident.write(oldIdent, at: 0)
        #expect(machine.open(firmware).state != .open)
      }

      @Test func aWipeDestroysTheStateAndEveryCopyOfIt() throws {
        #expect(machine.open().state == .open)
        machine.write("gone", to: machine.state + "/owner.json")
        machine.write("stays", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == .none)
        let data = try #require(try BlockPartition.find("data"))
        let header = try data.read(at: 0, count: 1 << 20)
        try machine.storage.wipe()
        #expect(try machine.isZero(data.read(at: 0, count: 1 << 20)))
        try machine.powerCycle()
        // A copy of the header from before does not open on the same TPM.
        try data.write(header, at: 0)
        let volume = try LUKSVolume(data)
        try volume.load(.aesXTS)
        let refusal = #expect(throws: BoardError.self) { _ = try machine.unseal(volume) }
        #expect(refusal?.code == BoardError.lockedCode)
        #expect(refusal?.reason.contains("wiped since") == true)
        #expect(machine.open().state == .open)
        #expect(machine.names(machine.state) == [])
        #expect(machine.read(machine.identity + "/identity.json") == "stays")
      }

      /// As the first step alone was done before the power went.
      @Test func aWipeThatWasCutOffIsEndedByTheNextBoot() throws {
        #expect(machine.open().state == .open)
        machine.write("gone", to: machine.state + "/owner.json")
        try machine.powerCycle()
        _ = try machine.vault().raise(.identityEpoch)
        #expect(machine.open().state == .open)
        #expect(machine.names(machine.state) == [])
      }

      /// Of what a runtime that was taken over leaves in the folder only the declared files are kept, and of those a wipe carries on what the next life needs;
      /// nothing that lies there stops the wipe.
      @Test func whatIsParkedInTheFolderOutlivesNoWipe() throws {
        #expect(machine.open().state == .open)
        let canary = "haechi canary, parked"
        machine.write("stays", to: machine.identity + "/identity.json")
        machine.write("of the wipe before", to: machine.identity + "/receipt.json")
        for name in ["stash.bin", "device.key"] { machine.write(canary, to: machine.identity + "/" + name) }
        #expect(try machine.storage.commitIdentity() == UndeclaredFiles(count: 2, example: "device.key"))
        try machine.powerCycle()
        #expect(machine.open().state == .open && machine.names(machine.identity) == ["identity.json", "receipt.json"])
        // Too large: an ordinary commit keeps nothing of it, and what was kept stays.
        machine.write(String(repeating: "x", count: 16_385), to: machine.identity + "/identity.json")
        machine.write("{}", to: machine.identity + "/lockout.json")
        let refusal = #expect(throws: BoardError.self) { try machine.storage.commitIdentity() }
        #expect(refusal?.code == "identity-refused" && refusal?.reason.contains("identity.json has more than the 16384 bytes") == true)
        for name in 1...40 { machine.write(canary, to: machine.identity + "/stash\(name)") }
        #expect(try machine.storage.recordWipe() == UndeclaredFiles(count: 40, example: "stash1"))
        machine.write(canary, to: machine.identity + "/receipt.json")
        machine.write("new", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == UndeclaredFiles(count: 40, example: "stash1"))
        machine.write(String(repeating: "x", count: 16_385), to: machine.identity + "/identity.json")
        try machine.powerCycle()
        #expect(machine.open().state == .open && machine.names(machine.identity) == ["identity.json", "lockout.json"])
        #expect(machine.read(machine.identity + "/identity.json") == "new")
      }

      /// Recorded, and the power went before anything was destroyed: in the state that it was ordered in, nothing of the owner's opens again.
      @Test func aWipeThatWasOnlyRecordedIsDoneByTheNextBoot() throws {
        let epoch = machine.open().identityEpoch
        machine.write("gone", to: machine.state + "/owner.json")
        machine.write("stays", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == .none)
        #expect(try machine.storage.recordWipe() == .none)
        // What is kept meanwhile does not undo it.
        machine.write("also stays", to: machine.identity + "/intent.json")
        #expect(try machine.storage.commitIdentity() == .none)
        let data = try #require(try BlockPartition.find("data"))
        let header = try data.read(at: 0, count: 1 << 20)
        try machine.powerCycle()
        let facts = machine.open()
        #expect(facts.state == .open && facts.identityEpoch == epoch + 1)
        #expect(machine.names(machine.state) == [])
        #expect(machine.read(machine.identity + "/identity.json") == "stays" && machine.read(machine.identity + "/intent.json") == "also stays")
        // Once: the boot after that keeps what is there.
        machine.write("new", to: machine.state + "/owner.json")
        try machine.powerCycle()
        #expect(machine.open().identityEpoch == epoch + 1)
        #expect(machine.read(machine.state + "/owner.json") == "new")
        // The header of before does not open on the same TPM.
        try machine.powerCycle()
        try data.write(header, at: 0)
        let volume = try LUKSVolume(data)
        try volume.load(.aesXTS)
        #expect(throws: BoardError.self) { _ = try machine.unseal(volume) }
      }

      @Test func adiantumServesWhereTheCPUHasNoAES() throws {
        let data = try #require(try BlockPartition.find("data"))
        let epoch = try machine.vault().raise(.identityEpoch)
        func volume() throws -> DataVolume { DataVolume(partition: data, root: try machine.vault(), folders: machine.folders, user: (900, 900)) }
        try volume().make(.adiantum, epoch: epoch)
        machine.write("kept", to: machine.state + "/file")
        try machine.powerCycle()
        #expect(try volume().open(.adiantum) == .nothing)
        #expect(machine.read(machine.state + "/file") == "kept")
      }
    }
  }
#endif
