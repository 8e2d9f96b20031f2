internal import Crypto
internal import Foundations
internal import Identity

/// An owner with the owner's key at hand: signs devices and members. It lives as long as one command.
public struct UnlockedOwner: Sendable {
  public let owner: OwnerFolder
  let issuer: CertificateIssuer

  /// How long a member's certificate is valid unless said otherwise: 30 days, so that one that was lost without being noticed ends soon.
  public static let usualMember_days = 30
  /// The longest that is issued.
  public static let longestMember_days = 366

  /// Issues a client certificate of `role` for `name`.
  ///
  /// - Parameters:
  ///   - days: how long it is valid, 1…366.
  ///   - renew: replaces one that is there; else it is refused.
  /// - Throws: `bad-argument`, `file-exists`.
  public func addMember(
    _ name: String, role: String, days: Int = usualMember_days, renew: Bool = false, now_s: Int64 = secondsNow()
  ) throws(OperatorError) -> MemberRecord {
    let member = try OwnerFolder.memberName(name)
    guard let known = Role(rawValue: role) else {
      throw OperatorError(
        "bad-argument", "'\(printable(role.prefix(40)))' is no role; there are: \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    guard (1...Self.longestMember_days).contains(days) else {
      throw OperatorError("bad-argument", "a member's certificate is valid for 1 to \(Self.longestMember_days) days, not \(days)")
    }
    let name = member.text
    let path = "\(owner.membersFolder)/\(name).pem"
    if !renew, PrivateFiles.exists(path) {
      throw OperatorError(
        "file-exists", "\(name) already has a certificate, \(path); renew it with: haechi member add \(name) --role \(role) --renew")
    }
    let key = try KeyFiles.newKey()
    let certificate = try Profiles.person(
      issuer: issuer, key: key.publicKey, owner: owner.identifier, name: member, role: known, validity_s: Int64(days) * 86_400, now_s: now_s)
    try PrivateFiles.makeFolder(owner.membersFolder)
    // The one before stays valid until it ends: who is withdrawn later is withdrawn with it.
    if renew { try owner.keepFormer(name, now_s: now_s) }
    try KeyFiles.write(key, to: "\(owner.membersFolder)/\(name).key", existing: renew ? .replace : .refuse)
    try KeyFiles.write(certificate, to: path, existing: renew ? .replace : .refuse)
    return try owner.record(name)
  }

  /// Makes sure that `name` is an admin with a certificate that is valid now; issues it where there is none.
  func ensureAdmin(_ name: String, now_s: Int64) throws(OperatorError) {
    guard PrivateFiles.exists("\(owner.membersFolder)/\(name).pem") else {
      _ = try addMember(name, role: "admin", now_s: now_s)
      return
    }
    let there = try owner.record(name)
    guard there.role == "admin" else {
      throw OperatorError(
        "bad-argument",
        "\(name) is \(there.role) of this owner (\(there.certificateFile)), and who claims must be admin; use another name with --name")
    }
    _ = try owner.credential(name, now_s: now_s)
  }
}

/// An owner who is there, or who will be made once there is something to own. The passphrase was asked for already: nobody waits for it at a device.
enum PreparedOwner: Sendable {
  case existing(UnlockedOwner)
  case new(folder: String, Passphrase)

  /// Asks for the passphrase of the owner in `folder`, and whether it is right; for a new one where there is no owner.
  init(_ folder: String, _ passphrases: any PassphraseSource) throws(OperatorError) {
    if OwnerFolder.exists(folder) {
      self = .existing(try OwnerFolder.open(folder).unlock(passphrases))
    } else {
      self = .new(folder: folder, try passphrases.passphrase(.choose("your new owner key in \(folder)")))
    }
  }

  /// The owner; made on the first call where there is none.
  mutating func open(now_s: Int64) throws(OperatorError) -> UnlockedOwner {
    switch self {
    case .existing(let owner): return owner
    case .new(let folder, let passphrase):
      let owner = try OwnerFolder.make(folder, passphrase: passphrase, now_s: now_s)
      self = .existing(owner)
      return owner
    }
  }
}
