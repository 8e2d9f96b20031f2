internal import BoardAPI
internal import Foundations

#if HAECHI_DEVICE_LIBRARIES
  internal import CCryptsetup
#endif

/// What became of an order about the recovery key.
enum RecoveryOutcome: Equatable {
  /// There was none.
  case nothing
  case made(RecoverySlot)
  case removed
  /// - isPending: the header may hold a part of it, so that it stays ordered.
  case failed(String, isPending: Bool)
}

#if HAECHI_DEVICE_LIBRARIES
  /// The key slots of the header. This firmware opens the volume by none of them: one is there for the owner's recovery key, for other machines.
  extension LUKSVolume {
    /// Any other slot than those, and any that this firmware would have made in another way, was put there by somebody else.
    ///
    /// - Throws: `storage-damaged`, naming what differs.
    func checkSlots(_ cipher: VolumeCipher, allowed: Set<UInt8>) throws(BoardError) {
      for slot in 0..<haechi_luks_slot_count() {
        let state = haechi_luks_has_slot(context, slot)
        guard state != 0 else { continue }
        guard state == 1, let number = UInt8(exactly: slot), allowed.contains(number) else {
          throw IdentStore.damage("the LUKS2 header was edited: it has a key slot \(slot) that this firmware did not make")
        }
        try check(slot, cipher)
      }
    }

    private func check(_ slot: CInt, _ cipher: VolumeCipher) throws(BoardError) {
      var encryptionKey_bytes = 0
      let encryption = words(crypt_keyslot_get_encryption(context, slot, &encryptionKey_bytes))
      var derivation = crypt_pbkdf_type()
      try check(crypt_keyslot_get_pbkdf(context, slot, &derivation), "crypt_keyslot_get_pbkdf")
      var (offset, length): (UInt64, UInt64) = (0, 0)
      try check(crypt_keyslot_area(context, slot, &offset, &length), "crypt_keyslot_area")
      let first = 2 * LUKSLayout.metadata_bytes
      // The library has checked that areas neither overlap nor leave the header.
      let isInside = offset >= first && offset <= LUKSLayout.header_bytes && length <= LUKSLayout.header_bytes - offset
      let facts: [(String, String, String)] = [
        ("key size", "\(crypt_keyslot_get_key_size(context, slot))", "\(cipher.key_bytes)"),
        ("encryption", "\(encryption), \(encryptionKey_bytes)", "aes-xts-plain64, 64"),
        ("derivation", "\(words(derivation.type)), \(words(derivation.hash)), \(derivation.iterations)", "pbkdf2, sha256, \(haechi_luks_slot_iterations)"),
        ("memory", "\(derivation.max_memory_kb)", "0"),
        ("area", isInside ? "inside" : "from \(offset), \(length)", "inside"),
        ("priority", "\(haechi_luks_slot_is_preferred(context, slot))", "0"),
      ]
      for (what, found, wanted) in facts where found != wanted {
        throw IdentStore.damage("the LUKS2 header was edited: \(what) \(found.prefix(40)) of key slot \(slot) where this firmware has \(wanted)")
      }
    }

    /// Does what is wanted. The new key has a slot of its own before the old one goes, so that one of them opens the disk whenever the power goes; what a cut
    /// left undone is found here as it is.
    func fulfil(_ wish: RecoveryWish?, present: RecoverySlot?, key: SecretBytes) -> RecoveryOutcome {
      switch wish {
      case nil: return .nothing
      case .remove:
        do throws(BoardError) {
          for slot in RecoverySlot.all { try removeSlot(slot) }
          return .removed
        } catch {
          return .failed(error.reason, isPending: true)
        }
      case .set(let passphrase, let facts):
        let slot = place(for: passphrase, beside: present)
        do throws(BoardError) {
          if !opens(slot, passphrase) {
            // Half of an order that was another one.
            try removeSlot(slot)
            try addSlot(slot, passphrase: passphrase, key: key)
          }
        } catch {
          let isClean = (try? removeSlot(slot)) != nil
          return .failed(error.reason, isPending: !isClean)
        }
        do throws(BoardError) {
          for other in RecoverySlot.all where other != slot { try removeSlot(other) }
          return .made(RecoverySlot(number: slot, key: facts))
        } catch {
          return .failed(error.reason, isPending: true)
        }
      }
    }

    /// Where the next key goes: where it is already, else beside the one that opens the disk now. The header knows better than the record which that is, where
    /// a boot could not write down what it had done.
    private func place(for passphrase: [UInt8], beside present: RecoverySlot?) -> UInt8 {
      let active = RecoverySlot.all.filter { haechi_luks_has_slot(context, CInt($0)) == 1 }
      if let made = active.first(where: { opens($0, passphrase) }) { return made }
      let old = active.count == 1 ? active.first : present?.number
      return old == 0 ? 1 : 0
    }

    /// Whether `passphrase` opens the volume by this slot. Nothing is opened.
    func opens(_ slot: UInt8, _ passphrase: [UInt8]) -> Bool {
      guard haechi_luks_has_slot(context, CInt(slot)) == 1 else { return false }
      return passphrase.withUnsafeBytes { crypt_activate_by_passphrase(context, nil, CInt(slot), $0.bindMemory(to: CChar.self).baseAddress, $0.count, 0) } >= 0
    }

    func addSlot(_ slot: UInt8, passphrase: [UInt8], key: SecretBytes) throws(BoardError) {
      let result = key.withUnsafeBytes { key in
        passphrase.withUnsafeBytes { passphrase in
          haechi_luks_add_slot(
            context, CInt(slot), key.bindMemory(to: CChar.self).baseAddress, key.count, passphrase.bindMemory(to: CChar.self).baseAddress, passphrase.count)
        }
      }
      try check(result, "crypt_keyslot_add_by_volume_key")
      try partition.flush()
      // Before the old one goes.
      guard opens(slot, passphrase) else { throw BoardError(code: "storage-failed", reason: "the new recovery key does not open its slot") }
    }

    /// No slot is no error.
    func removeSlot(_ slot: UInt8) throws(BoardError) {
      guard haechi_luks_has_slot(context, CInt(slot)) != 0 else { return }
      try check(crypt_keyslot_destroy(context, CInt(slot)), "crypt_keyslot_destroy")
      try partition.flush()
    }
  }
#endif
