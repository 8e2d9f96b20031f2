#if HAECHI_DEVICE_LIBRARIES
  internal import BoardAPI
  internal import CHaechi
  internal import Foundations
  internal import Glibc

  /// The partition `data`: what a wipe destroys. LUKS2 with an ext4 in it.
  struct DataVolume {
    let partition: BlockPartition
    let root: any SealingRootOfTrust
    let folders: VolumeFolders
    /// Whose the folder `state` is.
    let user: (uid: UInt32, gid: UInt32)

    private static let minimum_bytes: UInt64 = 16 << 20

    /// Opens what was made for this epoch, and does what is wanted of its recovery key.
    ///
    /// - Parameters:
    ///   - content: what the ident store says of it.
    ///   - sealsAhead: its key is sealed a second time, for the next value of the counter of security epochs, which the caller then raises.
    func open(_ cipher: VolumeCipher, content: IdentContent = IdentContent(), sealsAhead: Bool = false) throws(BoardError) -> RecoveryOutcome {
      let volume = try LUKSVolume(partition)
      try volume.load(cipher, slots: content.allowedSlots)
      let kept = try volume.keptBlob(root: root)
      let key = try root.unseal(kept.blob)
      guard key.count == cipher.key_bytes else { throw IdentStore.damage("the sealed key has \(key.count) bytes, not \(cipher.key_bytes)") }
      // From here on nobody gets it again in this boot, whatever becomes of the rest.
      try root.closeForThisBoot()
      for token in LUKSVolume.tokens where token != kept.token {
        if sealsAhead { try volume.keep(try root.sealAhead(key, to: .dataKey(epoch: content.dataEpoch)), as: token) } else { try volume.drop(token) }
      }
      let outcome = volume.fulfil(content.wish, present: content.recovery, key: key)
      try volume.activate(key: key)
      try mountVolume()
      return outcome
    }

    /// Makes it anew: what lay there is no longer to be read in any case, and is discarded besides.
    func make(_ cipher: VolumeCipher, epoch: UInt64) throws(BoardError) {
      guard partition.size_bytes >= Self.minimum_bytes else {
        throw IdentStore.damage("the partition \(partition.name) has \(partition.size_bytes) bytes, of which it needs \(Self.minimum_bytes)")
      }
      let template = try VolumeTemplate.ofThisImage()
      try partition.discard()
      let key = try RecordCipher.randomKey(cipher.key_bytes)
      let volume = try LUKSVolume(partition)
      try volume.format(cipher, key: key)
      try volume.keep(try root.seal(key, to: .dataKey(epoch: epoch)), as: LUKSVolume.tokens[0])
      try root.closeForThisBoot()
      try volume.activate(key: key)
      let size_bytes = try writeFileSystem(template)
      try mountVolume()
      try grow(to: size_bytes / UInt64(template.block_bytes))
      // Nobody looks for lost files here, and the runtime shall find an empty folder.
      _ = rmdir(folders.mount + "/lost+found")
    }

    /// Destroys key and header. The epoch was raised before, so that no copy of the header opens either. Files that the runtime has open keep the
    /// kernel's copy of the key until it ends: it is ended first.
    func destroy() throws(BoardError) {
      try close()
      try partition.write([UInt8](repeating: 0, count: Int(LUKSLayout.header_bytes)), at: 0)
      try partition.flush()
      try partition.discard()
    }

    /// What is not to be used after all.
    func close() throws(BoardError) {
      guard umount2(folders.mount, CInt(MNT_DETACH)) == 0 || errno == EINVAL || errno == ENOENT else { throw failure("umount") }
      try LUKSVolume.deactivate()
    }

    /// Returns the size of the volume. It is closed then: the kernel mounts nothing that somebody else has open for writing.
    private func writeFileSystem(_ template: VolumeTemplate) throws(BoardError) -> UInt64 {
      let device = try BlockPartition(name: LUKSVolume.name, path: LUKSVolume.device)
      try template.write(to: device)
      return device.size_bytes
    }

    private func mountVolume() throws(BoardError) {
      let flags = UInt(MS_NODEV | MS_NOSUID | MS_NOEXEC | MS_NOATIME)
      guard mount(LUKSVolume.device, folders.mount, "ext4", flags, "errors=remount-ro") == 0 else { throw failure("mount") }
      try makeFolder(folders.mount, mode: 0o755, owner: (0, 0))
      try makeFolder(folders.state, mode: 0o700, owner: user)
      try makeFolder(folders.audit, mode: 0o755, owner: (0, 0))
      try makeFolder(folders.supervisor, mode: 0o700, owner: (0, 0))
    }

    private func makeFolder(_ path: String, mode: mode_t, owner: (uid: UInt32, gid: UInt32)) throws(BoardError) {
      guard mkdir(path, mode) == 0 || errno == EEXIST else { throw failure("mkdir", path) }
      guard chown(path, owner.uid, owner.gid) == 0 else { throw failure("chown", path) }
      guard chmod(path, mode) == 0 else { throw failure("chmod", path) }
    }

    private func grow(to blocks: UInt64) throws(BoardError) {
      let number = Glibc.open(folders.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      guard number >= 0 else { throw failure("open") }
      let opened = OwnedDescriptor(adopting: number)
      guard haechi_ext4_resize(opened.number, blocks) == 0 else { throw failure("EXT4_IOC_RESIZE_FS") }
      guard haechi_file_system_sync(opened.number) == 0 else { throw failure("syncfs") }
    }

    private func failure(_ call: String, _ path: String? = nil) -> BoardError {
      .system(code: "storage-failed", call: call, subject: path ?? folders.mount, number: errno)
    }
  }
#endif
