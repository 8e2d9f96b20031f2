#if HAECHI_DEVICE_LIBRARIES
  import BoardAPI
  import COpenSSL
  import CTss2
  import Foundations
  import Testing

  @testable import LinuxBoard

  extension MachineTests.StorageTests {
    /// The device's own key in a real TPM.
    @Suite(.serialized) struct IdentityKeyTests {
      let machine: StorageMachine
      private let digest = RecordCipher.digest(Array("what is signed".utf8))
      init() throws { machine = try StorageMachine() }

      /// Whether OpenSSL takes `signature` for that of the public key.
      private func isValid(_ signature: [UInt8], of digest: [UInt8], by publicKey: [UInt8]) -> Bool {
        let key = publicKey.withUnsafeBufferPointer { bytes in
          var cursor = bytes.baseAddress
          return d2i_PUBKEY(nil, &cursor, bytes.count)
        }
        guard let key, let context = EVP_PKEY_CTX_new(key, nil) else { return false }
        defer {
          EVP_PKEY_CTX_free(context)
          EVP_PKEY_free(key)
        }
        guard EVP_PKEY_verify_init(context) == 1 else { return false }
        return EVP_PKEY_verify(context, signature, signature.count, digest, digest.count) == 1
      }
      private func refusal(_ call: () throws -> [UInt8]) -> BoardError? {
        do {
          _ = try call()
          return nil
        } catch {
          return error as? BoardError
        }
      }

      @Test func itIsMadeOnceAndSigns() throws {
        let key = try #require(machine.open().identityKey)
        #expect(key.publicKey.count == 91 && key.handle.count <= IdentityKey.handleMaximum_bytes)
        let rootOfTrust = TPM2RootOfTrust()
        for _ in 0..<8 {
          let signature = try rootOfTrust.sign(digest, with: key.handle)
          #expect(isValid(signature, of: digest, by: key.publicKey))
          #expect(!isValid(signature, of: RecordCipher.digest([1]), by: key.publicKey))
        }
        // The same after each restart, whatever the runtime kept, and after a wipe.
        machine.write("label", to: machine.identity + "/identity.json")
        #expect(try machine.storage.commitIdentity() == .none)
        try machine.powerCycle()
        #expect(machine.open().identityKey == key)
        #expect(try machine.storage.recordWipe() == .none)
        try machine.powerCycle()
        let wiped = machine.open()
        #expect(wiped.state == .open && wiped.identityKey == key)
        #expect(isValid(try rootOfTrust.sign(digest, with: key.handle), of: digest, by: key.publicKey))
        // The runtime's folder has nothing of it, and the disk nothing in the clear.
        #expect(machine.names(machine.identity) == ["identity.json"])
        #expect(try !machine.holds(Array(key.publicKey.suffix(64))) && !machine.holds(Array(key.handle.suffix(64))))
      }

      /// A device whose key was made by its runtime goes on with that.
      @Test func aDeviceThatHasAKeyAmongItsFilesKeepsIt() throws {
        let store = try IdentStore.open(#require(try BlockPartition.find("ident")), root: machine.vault())
        var content = store.content
        content.files = [IdentFile(name: "device.key", content: Array("made in software".utf8))]
        try store.commit(content)
        for _ in 0..<2 {
          let facts = machine.open()
          #expect(facts.state == .open && facts.identityKey == nil)
          #expect(machine.read(machine.identity + "/device.key") == "made in software")
          try machine.powerCycle()
        }
      }

      @Test func theTPMGivesItOutToNobody() throws {
        let key = try #require(machine.open().identityKey)
        let object = try #require(TPMObject(decoding: Array(key.handle.dropFirst())))
        let attributes = object.publicPart.publicArea.objectAttributes
        // TPM 2.0 Library part 2, 8.3: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign; neither decrypt nor restricted.
        #expect(attributes == 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 18)
        // The TPM takes it as it is: what is said of it is covered by its private part.
        let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
        let storageKey = try tpm.makeStorageKey()
        defer { tpm.flush(storageKey) }
        let session = try tpm.startSession(haechi_tpm_hmac_session, salt: storageKey, encrypts: 0)
        defer { tpm.flush(session) }
        tpm.flush(try tpm.load(object, under: storageKey, session: session))
        var loose = object
        loose.publicPart.publicArea.objectAttributes &= ~(1 << 1 | 1 << 4)
        #expect(throws: BoardError.self) { tpm.flush(try tpm.load(loose, under: storageKey, session: session)) }
      }

      @Test func anotherTPMDoesNotSignWithIt() throws {
        let key = try #require(machine.open().identityKey)
        try machine.powerCycle()
        try machine.clearTPM()
        let error = refusal { try TPM2RootOfTrust().sign(digest, with: key.handle) }
        #expect(error?.code == BoardError.lockedCode && error?.reason.contains("another TPM") == true)
        // Not even where it is said to be of this one's storage key.
        let object = try #require(TPMObject(decoding: Array(key.handle.dropFirst())))
        let tpm = try TPM2(device: TPM2RootOfTrust.device ?? "")
        let storageKey = try tpm.makeStorageKey()
        let forged = TPMObject(storageKey: try tpm.name(of: storageKey), publicPart: object.publicPart, privatePart: object.privatePart)
        tpm.flush(storageKey)
        let handle = [1] + (try forged.encoded(device: "tpm"))
        #expect(refusal { try TPM2RootOfTrust().sign(digest, with: handle) }?.code == BoardError.lockedCode)
      }

      @Test func whatIsNoHandleOrNoDigestIsRefused() throws {
        let key = try #require(machine.open().identityKey)
        let rootOfTrust = TPM2RootOfTrust()
        let digests: [[UInt8]] = [[], Array(digest.dropLast()), digest + [0]]
        for digest in digests {
          #expect(refusal { try rootOfTrust.sign(digest, with: key.handle) } != nil)
        }
        let wrong: [[UInt8]] = [[], [1], Array(key.handle.dropLast()), key.handle + [0], [2] + Array(key.handle.dropFirst())]
        for handle in wrong {
          #expect(refusal { try rootOfTrust.sign(digest, with: handle) }?.code == "storage-damaged")
        }
        // A changed private part, and the key of the store in its place.
        var changed = key.handle
        changed[changed.count - 1] ^= 1
        #expect(refusal { try rootOfTrust.sign(digest, with: changed) } != nil)
        #expect(isValid(try rootOfTrust.sign(digest, with: key.handle), of: digest, by: key.publicKey))
      }
    }
  }
#endif
