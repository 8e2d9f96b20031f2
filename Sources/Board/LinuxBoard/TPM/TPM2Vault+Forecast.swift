#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CTss2

  extension TPM2Vault {
    /// Whether other firmware will open a key that opens now, if it is started in this machine as it is: asked before that firmware is put in place. The
    /// maker's signature is verified and the policy computed, both by the TPM; nothing is changed or given out.
    ///
    /// - Parameter next: of the other firmware.
    /// - Throws: `storage-locked`, naming what would not match.
    func forecast(_ bytes: [UInt8], under next: SealAuthority) throws(BoardError) {
      let blob = try SealedBlob(decoding: bytes)
      guard let kept = TPMObject(decoding: blob.object) else { throw BoardError(code: "storage-damaged", reason: "a sealed key is not whole") }
      tpm.flush(try tpm.load(kept, under: storageKey, session: session))
      // A trial session compares no counters.
      guard try value(of: .securityEpoch) == blob.count else { throw BoardError(code: BoardError.lockedCode, reason: Self.olderCopy) }
      if case .dataKey(let epoch) = blob.binding, try value(of: .identityEpoch) != epoch {
        throw BoardError(code: BoardError.lockedCode, reason: Self.wipedSince)
      }
      let asked = try policyDigest(blob, next)
      let own = kept.publicPart.publicArea.authPolicy
      guard Self.bytes(asked) == Self.bytes(own) else { throw Self.otherPolicy }
    }

    private static func bytes(_ digest: TPM2B_DIGEST) -> [UInt8] { withUnsafeBytes(of: digest.buffer) { Array($0.prefix(Int(digest.size))) } }
  }
#endif
