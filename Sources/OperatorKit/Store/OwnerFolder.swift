internal import Crypto
internal import Foundations
internal import Identity

/// A member: a person, or a person's tool, who may use an owner's devices.
public struct MemberRecord: Encodable, Sendable, Equatable {
  public let name: String
  /// `viewer`, `operator` or `admin`.
  public let role: String
  public let ownerId: String
  /// RFC 3339, UTC.
  public let validUntil: String
  public let certificateFile: String
  public let keyFile: String
}

/// An owner's folder: the owner CA that devices obey, and the certificates of the owner's members.
///
/// Opened like this it can do what needs no signature of the owner's; `unlock` asks for the passphrase of the owner's key.
public struct OwnerFolder: Sendable {
  /// Where it is.
  public let folder: String
  /// 20 hexadecimal digits, from the digest of the owner CA's key.
  public var ownerId: String { identifier.text }
  let identifier: OwnerIdentifier
  /// The owner CA's certificate, `ca.pem`.
  let authority: Certificate

  private init(_ folder: String) throws(OperatorError) {
    self.folder = folder
    authority = try KeyFiles.certificate(folder + "/ca.pem")
    do {
      identifier = try OwnerAuthorityProfile.check(authority)
    } catch {
      throw OperatorError("file-malformed", "\(folder)/ca.pem is not an owner's CA", cause: error)
    }
  }

  /// Whether there is an owner in `folder`.
  public static func exists(_ folder: String) -> Bool { PrivateFiles.exists(folder + "/ca.pem") }

  /// - Throws: `file-missing` when there is no owner yet.
  public static func open(_ folder: String) throws(OperatorError) -> OwnerFolder {
    guard exists(folder) else {
      throw OperatorError(
        "file-missing",
        "there is no owner in \(folder): no file \(folder)/ca.pem; make one with: haechi owner new, or name the folder with --owner DIR")
    }
    return try OwnerFolder(folder)
  }

  /// Makes a new owner in `folder`: `ca.pem`, and `ca.key` under `passphrase`.
  ///
  /// - Throws: `file-exists` where there is one: nothing is written then.
  public static func make(_ folder: String, passphrase: Passphrase, now_s: Int64 = secondsNow()) throws(OperatorError) -> UnlockedOwner {
    for name in ["ca.pem", "ca.key"] where PrivateFiles.exists("\(folder)/\(name)") {
      throw OperatorError("file-exists", "\(folder)/\(name) is already there and is not overwritten; name another folder with --owner DIR")
    }
    let key = try KeyFiles.newKey()
    let certificate = try Profiles.ownerCA(key: key, now_s: now_s)
    try PrivateFiles.makeFolder(folder)
    // The certificate last: a folder with a CA certificate is whole.
    try KeyFiles.write(key, passphrase: passphrase, to: folder + "/ca.key")
    try KeyFiles.write(certificate, to: folder + "/ca.pem")
    return UnlockedOwner(owner: try OwnerFolder(folder), issuer: try Profiles.issuer(certificate, key))
  }

  /// With the owner's key, for what the owner signs: devices and members. Asks once.
  ///
  /// - Throws: `passphrase-wrong`, `passphrase-needed`, and what is wrong with a file.
  public func unlock(_ passphrases: any PassphraseSource) throws(OperatorError) -> UnlockedOwner {
    try unlock(passphrases.passphrase(.unlock("owner \(ownerId) in \(folder)")))
  }

  func unlock(_ passphrase: Passphrase) throws(OperatorError) -> UnlockedOwner {
    let key = try KeyFiles.key(folder + "/ca.key", passphrase: passphrase)
    do {
      return UnlockedOwner(owner: self, issuer: try CertificateIssuer(certificate: authority, key: key))
    } catch {
      throw OperatorError("file-malformed", "\(folder)/ca.pem and \(folder)/ca.key do not make an authority", cause: error)
    }
  }

  var membersFolder: String { folder + "/members" }

  /// Everybody who has a certificate here, by name.
  public func members() throws(OperatorError) -> [MemberRecord] {
    guard PrivateFiles.exists(membersFolder) else { return [] }
    var members: [MemberRecord] = []
    for name in try PrivateFiles.names(membersFolder) where name.hasSuffix(".pem") { members.append(try record(String(name.dropLast(4)))) }
    return members
  }

  func record(_ name: String) throws(OperatorError) -> MemberRecord {
    let path = "\(membersFolder)/\(name).pem"
    let certificate = try KeyFiles.certificate(path)
    let role: Role
    do {
      guard case .person(_, let named, let found) = try PersonProfile.check(certificate, owner: identifier), named.text == name else {
        throw CertificateRefusal(.profile, "it is not the certificate of \(name)")
      }
      role = found
    } catch {
      throw OperatorError(
        "file-malformed",
        "\(path) is not a member's certificate of owner \(ownerId); issue it again with: haechi member add \(name) --role ROLE --renew",
        cause: error)
    }
    return MemberRecord(
      name: name, role: role.rawValue, ownerId: ownerId, validUntil: rfc3339(certificate.notAfter_s), certificateFile: path,
      keyFile: "\(membersFolder)/\(name).key")
  }

  /// The certificate and key of `name`, valid now.
  ///
  /// - Parameter name: nil where the owner has only one member.
  /// - Throws: `unknown-member`, `certificate-expired`.
  func credential(_ name: String?, now_s: Int64) throws(OperatorError) -> Credential {
    let name = if let name { name } else { try onlyMember() }
    let path = "\(membersFolder)/\(try Self.memberName(name).text).pem"
    guard PrivateFiles.exists(path) else {
      throw OperatorError(
        "unknown-member",
        "'\(name)' has no certificate of this owner (no file \(path)); issue one with: haechi member add \(name) --role ROLE")
    }
    let keyPath = "\(membersFolder)/\(name).key"
    guard PrivateFiles.exists(keyPath) else {
      throw OperatorError(
        "file-missing",
        "\(name) has a certificate and no key here (no file \(keyPath)), as after a restored backup; issue both anew with: haechi member add \(name) --role ROLE --renew"
      )
    }
    let credential = try KeyFiles.credential(path, keyPath)
    if let refusal = credential.chain.first?.refusal(at: now_s) {
      let advice =
        refusal.kind == .expired ? "renew it with: haechi member add \(name) --role ROLE --renew" : "this machine's clock is behind"
      throw OperatorError("certificate-expired", "\(path): \(refusal.reason); \(advice)")
    }
    return credential
  }

  private func onlyMember() throws(OperatorError) -> String {
    let names = try members().map(\.name)
    guard let name = names.first else {
      throw OperatorError("unknown-member", "the owner in \(folder) has no members; add yourself with: haechi member add NAME --role admin")
    }
    guard names.count == 1 else {
      throw OperatorError(
        "unknown-member",
        "the owner in \(folder) has several members (\(names.prefix(8).joined(separator: ", "))); say who you are with --as NAME")
    }
    return name
  }

  /// - Throws: `bad-argument` with the form that is wanted.
  static func memberName(_ name: String) throws(OperatorError) -> PersonName {
    guard let person = PersonName(name) else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(name.prefix(64)))' cannot be a member's name: use 1 to 32 of a-z, 0-9, '.', '-' or '_', beginning with a letter or digit (claim takes it as --name)"
      )
    }
    return person
  }
}
