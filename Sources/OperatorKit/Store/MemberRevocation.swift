internal import Crypto
internal import Foundations
internal import Identity

/// What withdrawing a member gave.
public struct RevokedMember: Encodable, Sendable, Equatable {
  public let name: String
  public let ownerId: String
  /// Of the list that withdraws it.
  public let number: UInt64
  /// The serial numbers of its certificates, hexadecimal; none where the list had them all already.
  public let serials: [String]
}

extension OwnerFolder {
  /// The owner's revocation list, which only grows: PEM.
  var revocationsFile: String { folder + "/revocations.pem" }
  /// Certificates that were replaced by newer ones and have not ended: who withdraws a member withdraws these too.
  private var formerFile: String { folder + "/former.pem" }
  /// As many as an owner of the largest kind replaces in a year.
  private static let mostFormer = 4_000

  /// nil before anybody was withdrawn.
  ///
  /// - Throws: `file-malformed` where it is not a list of this owner.
  func revocationList() throws(OperatorError) -> CertificateRevocationList? {
    guard PrivateFiles.exists(revocationsFile) else { return nil }
    let content = try PrivateFiles.read(revocationsFile)
    do {
      let list = try CertificateRevocationList(pem: String(decoding: content, as: UTF8.self))
      try OwnerRevocations.check(list, owner: authority, after: nil)
      return list
    } catch {
      throw OperatorError(
        "file-malformed", "\(revocationsFile) is not the revocation list of owner \(ownerId); take it from a backup, or from GET /v1/revocations of a device",
        cause: error)
    }
  }

  /// Keeps the certificate of `name` that is about to be replaced, so that it can still be withdrawn.
  func keepFormer(_ name: String, now_s: Int64) throws(OperatorError) {
    let path = "\(membersFolder)/\(name).pem"
    guard PrivateFiles.exists(path) else { return }
    let replaced = try KeyFiles.certificate(path)
    let kept = try former().filter { $0.notAfter_s >= now_s && $0 != replaced } + [replaced]
    try PrivateFiles.write(Array(kept.map(\.pem).joined().utf8), to: formerFile, existing: .replace, mode: 0o644)
  }

  private func former() throws(OperatorError) -> [Certificate] {
    guard PrivateFiles.exists(formerFile) else { return [] }
    let content = try PrivateFiles.read(formerFile)
    do {
      return try Certificate.chain(pem: String(decoding: content, as: UTF8.self), maximumCount: Self.mostFormer)
    } catch {
      throw OperatorError("file-malformed", "\(formerFile) does not hold certificates in PEM; take it from a backup", cause: error)
    }
  }

  /// Every certificate of `name` that was issued here and has not ended at `now_s`.
  fileprivate func certificates(of name: String, now_s: Int64) throws(OperatorError) -> [Certificate] {
    var found: [Certificate] = []
    let present = "\(membersFolder)/\(name).pem"
    if PrivateFiles.exists(present) { found.append(try KeyFiles.certificate(present)) }
    found += try former().filter { $0.subjectCommonName == name }
    return found.filter { $0.notAfter_s >= now_s }
  }

  /// The names of the admins whose certificates count at `now_s`.
  func admins(now_s: Int64) throws(OperatorError) -> [String] {
    let list = try revocationList()
    var names: [String] = []
    for member in try members() where member.role == Role.admin.rawValue {
      let certificate = try KeyFiles.certificate(member.certificateFile)
      if certificate.refusal(at: now_s) == nil, list?.revokes(certificate) != true { names.append(member.name) }
    }
    return names
  }
}

extension UnlockedOwner {
  /// Withdraws every certificate of `name` that has not ended: writes the owner's next revocation list, and removes the member's certificate and key.
  /// Devices hear of it by `RevocationPush`.
  ///
  /// - Parameter forcesLastAdmin: also where nobody would be left who can order anything of a device.
  /// - Throws: `unknown-member`, `last-admin`, `list-full`, and what is wrong with a file.
  public func revokeMember(_ name: String, forcesLastAdmin: Bool = false, now_s: Int64 = secondsNow()) throws(OperatorError) -> RevokedMember {
    try PrivateFiles.locked(owner.folder + "/.lock") { () throws(OperatorError) in
      try revoke(try OwnerFolder.memberName(name).text, forcesLastAdmin: forcesLastAdmin, now_s: now_s)
    }
  }

  private func revoke(_ name: String, forcesLastAdmin: Bool, now_s: Int64) throws(OperatorError) -> RevokedMember {
    let certificates = try owner.certificates(of: name, now_s: now_s)
    guard !certificates.isEmpty else {
      throw OperatorError("unknown-member", "'\(name)' has no certificate of this owner that has not ended; see: haechi member list")
    }
    let admins = try owner.admins(now_s: now_s)
    guard admins != [name] || forcesLastAdmin else {
      throw OperatorError(
        "last-admin",
        "\(name) is the last admin of this owner: nobody could order anything of its devices. Add another first (haechi member add NAME --role admin), or say --force-last-admin"
      )
    }
    // The list before the files: what was cut off here is done again by the same command.
    let (number, added) = try withdraw(certificates, now_s: now_s)
    for file in ["\(owner.membersFolder)/\(name).key", "\(owner.membersFolder)/\(name).pem"] { try PrivateFiles.remove(file) }
    return RevokedMember(name: name, ownerId: owner.ownerId, number: number, serials: added.map(\.description))
  }

  /// Puts `certificates` on the owner's next revocation list, as far as they are on none yet. The folder is locked.
  ///
  /// - Returns: the number of the list that has them all, and what was new to it.
  func withdraw(_ certificates: [Certificate], now_s: Int64) throws(OperatorError) -> (number: UInt64, added: [CertificateSerial]) {
    let present = try owner.revocationList()
    var added: [CertificateSerial] = []
    for serial in certificates.compactMap(\.serial) where present?.revokes(serial) != true && !added.contains(serial) { added.append(serial) }
    guard !added.isEmpty else { return (present?.number ?? 0, []) }
    let number = (present?.number ?? 0) + 1
    let list: CertificateRevocationList
    do {
      list = try issuer.revocationList(
        number: number, revoked: (present?.revoked ?? []) + added.map { RevokedCertificate(serial: $0, revoked_s: now_s) }, now_s: now_s)
    } catch {
      throw OperatorError(
        "list-full", "the next revocation list of owner \(owner.ownerId) could not be made; shorter lives (member add --days) need fewer entries",
        cause: error)
    }
    try PrivateFiles.write(Array(list.pem.utf8), to: owner.revocationsFile, existing: .replace, mode: 0o644)
    return (number, added)
  }

  /// A credential of an admin for one hour, which is written nowhere: for the list that leaves no admin.
  func momentaryAdmin(now_s: Int64) throws(OperatorError) -> Credential {
    let key = try KeyFiles.newKey()
    let name = try OwnerFolder.memberName("revocation")
    // Its validity begins an hour ago, as every certificate's here.
    let certificate = try Profiles.person(
      issuer: issuer, key: key.publicKey, owner: owner.identifier, name: name, role: .admin, validity_s: 2 * 3_600, now_s: now_s)
    return Credential(chain: [certificate], key: key, name: "an admin for one hour")
  }
}
