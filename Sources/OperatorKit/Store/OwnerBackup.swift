internal import Crypto
internal import FoundationEssentials
internal import Foundations
internal import Identity

/// A backup of an owner: one file under the owner's passphrase, from which the owner's folder can be made again.
///
/// It is a `PassphraseBox` with the title `haechi-owner-backup-1`, and in it a JSON object:
///
///     {"version":1,"ownerId":"…","made":"RFC 3339","files":{"ca.pem":"…","ca.key":"…","members/ada.pem":"…"}}
///
/// `ca.key` is the encrypted key as it lies in the folder. Members' private keys are not in it: they can be issued anew.
public struct OwnerBackup: Sendable {
  /// 20 hexadecimal digits.
  public let ownerId: String
  /// When it was made, RFC 3339.
  public let made: String
  /// The names of the members whose certificates are in it.
  public let members: [String]
  private let files: [String: [UInt8]]

  private static let title = "haechi-owner-backup-1"
  private static let currentVersion = 1

  private struct Content: Codable {
    var version: Int
    var ownerId: String
    var made: String
    var files: [String: String]
  }

  /// Writes a backup of the owner in `folder` to the new file `path`, reads it back from the disk and restores it in memory.
  ///
  /// - Throws: `passphrase-wrong`, `file-exists`, and what is wrong with a file of the folder.
  public static func export(_ folder: String, to path: String, passphrases: any PassphraseSource, now_s: Int64 = secondsNow()) throws(OperatorError)
    -> OwnerBackup
  {
    let owner = try OwnerFolder.open(folder)
    guard !PrivateFiles.exists(path) else {
      throw OperatorError("file-exists", "\(path) is already there and is not overwritten; name another file")
    }
    let passphrase = try passphrases.passphrase(.unlock("owner \(owner.ownerId) in \(folder)"))
    _ = try owner.unlock(passphrase)
    var files: [String: String] = [:]
    for name in try names(folder) { files[name] = String(decoding: try PrivateFiles.read("\(folder)/\(name)"), as: UTF8.self) }
    let content = Content(version: currentVersion, ownerId: owner.ownerId, made: rfc3339(now_s), files: files)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let box: [UInt8]
    do {
      box = try PassphraseBox.seal(Array(try encoder.encode(content)), title: title, passphrase: passphrase.secret)
    } catch {
      throw OperatorError("file-unwritable", "the backup of \(folder) could not be made", cause: error)
    }
    try PrivateFiles.write(box, to: path, existing: .refuse)
    // What was not restored is no backup. From the disk, since that is where it must be.
    let restored = try OwnerBackup(path, passphrase)
    guard restored.ownerId == owner.ownerId, restored.files.count == files.count else {
      throw OperatorError("file-malformed", "\(path) was written and does not hold what it should; do not rely on it")
    }
    return restored
  }

  /// Makes the folder of the owner in the backup `path` again.
  ///
  /// - Throws: `file-exists` where there is an owner in `folder`; `passphrase-wrong`; `file-malformed`, naming what is wrong. Nothing is written then.
  public static func restore(_ path: String, into folder: String, passphrases: any PassphraseSource) throws(OperatorError) -> OwnerBackup {
    for name in ["ca.pem", "ca.key", "members"] where PrivateFiles.exists("\(folder)/\(name)") {
      throw OperatorError("file-exists", "\(folder)/\(name) is already there and is not overwritten; name another folder with --owner DIR")
    }
    // What is no backup is told before anybody types a passphrase.
    try checkTitle(try read(path), path)
    let backup = try OwnerBackup(path, try passphrases.passphrase(.unlock("the backup \(path)")))
    try PrivateFiles.makeFolder(folder)
    if !backup.members.isEmpty { try PrivateFiles.makeFolder(folder + "/members") }
    // The CA certificate last: a folder with one is whole.
    for (name, content) in backup.files.sorted(by: { $0.key < $1.key }) where name != "ca.pem" {
      try PrivateFiles.write(content, to: "\(folder)/\(name)", existing: .refuse, mode: name == "ca.key" ? 0o600 : 0o644)
    }
    if let authority = backup.files["ca.pem"] { try PrivateFiles.write(authority, to: folder + "/ca.pem", existing: .refuse, mode: 0o644) }
    return backup
  }

  /// Reads a backup and checks all of it: the passphrase opens box and key, the key is the CA's, the members are the owner's.
  init(_ path: String, _ passphrase: Passphrase) throws(OperatorError) {
    let box = try Self.read(path)
    try Self.checkTitle(box, path)
    let plain: [UInt8]
    do {
      plain = try PassphraseBox.open(box, title: Self.title, passphrase: passphrase.secret)
    } catch  where error.code == "passphrase-wrong" {
      throw OperatorError("passphrase-wrong", "\(path) cannot be opened: the passphrase is another one, or the file was changed", cause: nil)
    } catch {
      throw OperatorError("file-malformed", "\(path) is a damaged backup", cause: error)
    }
    let content: Content
    do {
      content = try JSONDecoder().decode(Content.self, from: Data(plain))
    } catch {
      throw OperatorError("file-malformed", "\(path) holds no backup that can be read: \(explain(decoding: error))", cause: nil)
    }
    guard content.version == Self.currentVersion else {
      throw OperatorError(
        "file-malformed", "\(path) has version \(content.version) and this haechi reads version \(Self.currentVersion); use the haechi that wrote it")
    }
    ownerId = content.ownerId
    made = content.made
    members = content.files.keys.filter { $0.hasPrefix("members/") }.map { String($0.dropFirst(8).dropLast(4)) }.sorted()
    files = content.files.mapValues { Array($0.utf8) }
    try check(path, passphrase)
  }

  private func check(_ path: String, _ passphrase: Passphrase) throws(OperatorError) {
    func bad(_ name: String, _ what: String, _ cause: (any Error)? = nil) -> OperatorError {
      OperatorError("file-malformed", "\(path): \(name) in it \(what)", cause: cause)
    }
    for name in files.keys {
      guard Self.isPlain(name) else {
        throw OperatorError("file-malformed", "\(path) holds a file with the name '\(printable(name.prefix(80)))', which no owner has")
      }
    }
    guard let pem = files["ca.pem"], let sealed = files["ca.key"] else { throw bad("ca.pem or ca.key", "is missing") }
    let authority: Certificate
    let owner: OwnerIdentifier
    do {
      authority = try Certificate(pem: String(decoding: pem, as: UTF8.self))
      owner = try OwnerAuthorityProfile.check(authority)
    } catch {
      throw bad("ca.pem", "is not an owner's CA", error)
    }
    guard owner.text == ownerId else { throw bad("ca.pem", "is that of owner \(owner), and the backup says \(printable(ownerId.prefix(40)))") }
    do {
      let key = try PrivateKey(encryptedPEM: SecretBytes(copying: sealed), passphrase: passphrase.secret)
      _ = try CertificateIssuer(certificate: authority, key: key)
    } catch {
      throw bad("ca.key", "is not the key of ca.pem under this passphrase", error)
    }
    for name in members {
      do {
        let certificate = try Certificate(pem: String(decoding: files["members/\(name).pem"] ?? [], as: UTF8.self))
        _ = try PersonProfile.check(certificate, owner: owner)
        guard let key = authority.publicKey, certificate.isSigned(by: key) else { throw CertificateRefusal(.untrusted, "the owner did not sign it") }
      } catch {
        throw bad("members/\(name).pem", "is not a member's certificate of owner \(owner)", error)
      }
    }
  }

  private static func read(_ path: String) throws(OperatorError) -> [UInt8] {
    try PrivateFiles.read(path, atMost: PassphraseBox.largestContent_bytes + 1024)
  }

  private static func checkTitle(_ box: [UInt8], _ path: String) throws(OperatorError) {
    guard box.starts(with: Array((title + "\n").utf8)) else {
      throw OperatorError("file-malformed", "\(path) is no backup of an owner: it does not begin with '\(title)'")
    }
  }

  /// What of the folder is backed up: the CA, what lies beside it as `.pem` (the revocation list), and the members' certificates. No other key.
  private static func names(_ folder: String) throws(OperatorError) -> [String] {
    var names = ["ca.key"]
    names += try PrivateFiles.names(folder).filter { $0.hasSuffix(".pem") && isPlain($0) }
    if PrivateFiles.exists(folder + "/members") {
      names += try PrivateFiles.names(folder + "/members").map { "members/" + $0 }.filter { $0.hasSuffix(".pem") && isPlain($0) }
    }
    return names
  }

  /// A name that cannot lead out of the folder: `ca.key`, `NAME.pem`, `members/NAME.pem`.
  private static func isPlain(_ name: String) -> Bool {
    if name == "ca.key" { return true }
    let rest = name.hasPrefix("members/") ? name.dropFirst(8) : name[...]
    return rest.hasSuffix(".pem") && PersonName(rest.dropLast(4)) != nil
  }
}
