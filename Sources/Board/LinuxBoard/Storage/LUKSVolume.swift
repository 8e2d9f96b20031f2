internal import BoardAPI
internal import Foundations

#if HAECHI_DEVICE_LIBRARIES
  internal import CCryptsetup
  internal import Glibc
#endif

/// How the data partition is encrypted. The number is what the ident store keeps.
enum VolumeCipher: UInt8, CaseIterable {
  /// Where the CPU has AES instructions.
  case aesXTS = 1
  /// Where it has not: five times faster there (Crowley and Biggers, 2018), and as wide as a sector.
  case adiantum = 2

  /// Cipher and mode as LUKS2 and dm-crypt name them.
  var names: (cipher: String, mode: String) {
    switch self {
    case .aesXTS: ("aes", "xts-plain64")
    case .adiantum: ("xchacha12,aes", "adiantum-plain64")
    }
  }

  /// For the status.
  var word: String { "\(names.cipher)-\(names.mode)" }

  /// XTS has two keys of 256 bits.
  var key_bytes: Int { self == .aesXTS ? 64 : 32 }
}

/// The constants that a header of ours has. It is not authenticated by its format, so it is compared with them before it is used.
enum LUKSLayout {
  /// Of the header: two copies of 16 KiB, then room for three key slots.
  static let metadata_bytes: UInt64 = 16 * 1024
  static let header_bytes: UInt64 = 1 << 20
  static let keySlots_bytes = header_bytes - 2 * metadata_bytes
  /// The unit of encryption, as the file system's blocks.
  static let sector_bytes: UInt32 = 4_096
  /// libcryptsetup and device mapper count in these.
  static let unit_bytes: UInt64 = 512
}

#if HAECHI_DEVICE_LIBRARIES
  /// A LUKS2 partition, by libcryptsetup.
  final class LUKSVolume {
    /// The name that it is opened under, and the device.
    static let name = "haechi-data"
    static let device = "/dev/mapper/" + name
    /// Where the sealed key lies, and where it is sealed anew before the old one goes.
    static let tokens: [CInt] = [0, 1]

    let context: OpaquePointer
    let partition: BlockPartition

    init(_ partition: BlockPartition) throws(BoardError) {
      // There is no udev: the library makes the nodes by itself.
      setenv("DM_DISABLE_UDEV", "1", 1)
      crypt_set_log_callback(nil, { level, text, _ in LastWords.take(level, text) }, nil)
      // One process at a time has the partition, and there is no folder for locks.
      _ = crypt_metadata_locking(nil, 0)
      var opened: OpaquePointer?
      let result = crypt_init(&opened, partition.path)
      guard result == 0, let opened else { throw Self.failure(result, "crypt_init", partition.path) }
      context = opened
      self.partition = partition
    }

    deinit { crypt_free(context) }

    /// Writes a new header for `key`, which no key slot keeps.
    func format(_ cipher: VolumeCipher, key: SecretBytes) throws(BoardError) {
      try check(crypt_set_metadata_size(context, LUKSLayout.metadata_bytes, LUKSLayout.keySlots_bytes), "crypt_set_metadata_size")
      try check(crypt_set_data_offset(context, LUKSLayout.header_bytes / LUKSLayout.unit_bytes), "crypt_set_data_offset")
      let names = cipher.names
      let result = key.withUnsafeBytes { key in
        haechi_luks_format(
          context, names.cipher, names.mode, key.bindMemory(to: CChar.self).baseAddress, key.count, LUKSLayout.sector_bytes, Self.name)
      }
      try check(result, "crypt_format")
    }

    /// Reads the header and compares it with the constants.
    ///
    /// - Parameter slots: the key slots that may be there.
    /// - Throws: `storage-damaged`, naming what differs.
    func load(_ cipher: VolumeCipher, slots: Set<UInt8> = []) throws(BoardError) {
      guard haechi_luks_load(context) == 0 else {
        throw IdentStore.damage("the partition \(partition.name) has no LUKS2 header that is whole: \(LastWords.text)")
      }
      let names = cipher.names
      var (metadata_bytes, keySlots_bytes): (UInt64, UInt64) = (0, 0)
      try check(crypt_get_metadata_size(context, &metadata_bytes, &keySlots_bytes), "crypt_get_metadata_size")
      let facts: [(String, String, String)] = [
        ("cipher", words(crypt_get_cipher(context)), names.cipher),
        ("mode", words(crypt_get_cipher_mode(context)), names.mode),
        ("sector size", "\(crypt_get_sector_size(context))", "\(LUKSLayout.sector_bytes)"),
        ("offset", "\(crypt_get_data_offset(context))", "\(LUKSLayout.header_bytes / LUKSLayout.unit_bytes)"),
        ("IV offset", "\(crypt_get_iv_offset(context))", "0"),
        ("metadata size", "\(metadata_bytes)", "\(LUKSLayout.metadata_bytes)"),
        ("key slots' size", "\(keySlots_bytes)", "\(LUKSLayout.keySlots_bytes)"),
        ("other demands", "\(haechi_luks_has_extras(context))", "0"),
      ]
      for (what, found, wanted) in facts where found != wanted {
        throw IdentStore.damage("the LUKS2 header was edited: \(what) \(found.prefix(40)) where this firmware has \(wanted)")
      }
      try checkSlots(cipher, allowed: slots)
    }

    /// Keeps a sealed key in the header. Durable when it returns.
    func keep(_ blob: [UInt8], as token: CInt) throws(BoardError) {
      try check(crypt_token_json_set(context, token, LUKSToken.json(blob)), "crypt_token_json_set")
      try partition.flush()
    }

    /// Forgets one. None is no error.
    func drop(_ token: CInt) throws(BoardError) {
      guard blob(in: token) != nil else { return }
      try check(crypt_token_json_set(context, token, nil), "crypt_token_json_set")
      try partition.flush()
    }

    /// The sealed key in the header that counts.
    func keptBlob(root: any SealingRootOfTrust) throws(BoardError) -> (blob: [UInt8], token: CInt) {
      let kept = Self.tokens.compactMap { token in blob(in: token).map { (blob: $0, place: token) } }
      guard let chosen = try root.choose(kept) else { throw IdentStore.damage("the LUKS2 header holds no sealed key") }
      return (chosen.blob, chosen.place)
    }

    private func blob(in token: CInt) -> [UInt8]? {
      var json: UnsafePointer<CChar>?
      guard crypt_token_json_get(context, token, &json) >= 0, let json else { return nil }
      return LUKSToken.blob(in: String(cString: json))
    }

    /// Opens the volume, and compares what device mapper says of it with the constants: the size is the rest of the partition.
    ///
    /// - Parameter key: of the cipher's size, which a header without key slots does not say.
    func activate(key: SecretBytes) throws(BoardError) {
      // The key goes to the kernel with the table, and not into a keyring first.
      _ = crypt_volume_key_keyring(context, 0)
      let result = key.withUnsafeBytes { key in
        crypt_activate_by_volume_key(context, Self.name, key.bindMemory(to: CChar.self).baseAddress, key.count, 0)
      }
      if result == 0 - EPERM { throw IdentStore.damage("the LUKS2 header was edited: it is not that of the sealed key") }
      try check(result, "crypt_activate_by_volume_key")
      var active = crypt_active_device()
      try check(crypt_get_active_device(context, Self.name, &active), "crypt_get_active_device")
      guard active.offset == LUKSLayout.header_bytes / LUKSLayout.unit_bytes, active.iv_offset == 0,
        active.size == (partition.size_bytes - LUKSLayout.header_bytes) / LUKSLayout.unit_bytes
      else {
        _ = crypt_deactivate_by_name(context, Self.name, 0)
        throw IdentStore.damage("the LUKS2 header was edited: it maps \(active.size) sectors from \(active.offset)")
      }
    }

    /// Takes the key out of the kernel: at once, or where something still holds the volume as soon as that lets go. No volume is no error.
    static func deactivate() throws(BoardError) {
      setenv("DM_DISABLE_UDEV", "1", 1)
      crypt_set_log_callback(nil, { level, text, _ in LastWords.take(level, text) }, nil)
      var result = crypt_deactivate_by_name(nil, name, 0)
      if result == 0 - EBUSY { result = crypt_deactivate_by_name(nil, name, haechi_luks_deactivate_deferred) }
      guard result == 0 || result == 0 - ENODEV else { throw failure(result, "crypt_deactivate_by_name", name) }
    }

    func words(_ text: UnsafePointer<CChar>?) -> String { text.map { String(cString: $0) } ?? "none" }

    func check(_ result: CInt, _ call: String) throws(BoardError) {
      guard result >= 0 else { throw Self.failure(result, call, partition.path) }
    }

    private static func failure(_ result: CInt, _ call: String, _ subject: String) -> BoardError {
      .system(code: "storage-failed", call: call, subject: subject, number: 0 &- result, hint: LastWords.text)
    }
  }

  /// The last error that libcryptsetup put into words. A worker has one thread.
  private enum LastWords {
    nonisolated(unsafe) static var text = ""

    static func take(_ level: CInt, _ words: UnsafePointer<CChar>?) {
      guard level == CRYPT_LOG_ERROR, let words else { return }
      text = String(String(cString: words).prefix { !$0.isNewline }.prefix(80))
    }
  }
#endif

/// The token in which a LUKS2 header keeps the sealed key. Tools that know no such token leave it alone.
enum LUKSToken {
  private static let type = "haechi-sealed-key"
  /// A TPM's sealed object has about 400 bytes.
  private static let blobMaximum_bytes = 2_048

  static func json(_ blob: [UInt8]) -> String { #"{"type":"\#(type)","keyslots":[],"blob":"\#(hexadecimal(blob))"}"# }

  /// nil where the text is no such token.
  static func blob(in json: String) -> [UInt8]? {
    // libcryptsetup has parsed it and writes it anew: members without escapes, in its own spacing.
    let bare = json.utf8.filter { $0 != UInt8(ascii: " ") }
    let text = String(decoding: bare, as: UTF8.self)
    guard text.contains(#""type":"\#(type)""#), let start = text.firstRange(of: #""blob":""#)?.upperBound,
      let end = text[start...].firstIndex(of: "\""), text[start..<end].utf8.count <= 2 * blobMaximum_bytes
    else { return nil }
    let blob = bytes(hexadecimal: String(text[start..<end]))
    return blob?.isEmpty == true ? nil : blob
  }
}
