internal import Crypto
internal import Foundations
internal import Identity

/// A person who may use an owner's devices.
public struct PersonRecord: Encodable, Sendable, Equatable {
  public let name: String
  /// `viewer`, `operator` or `admin`.
  public let role: String
  public let ownerId: String
  /// RFC 3339, UTC.
  public let validUntil: String
  public let certificateFile: String
  public let keyFile: String
}

/// An owner's folder: the owner CA that devices obey, and the certificates of the owner's people.
public struct OwnerFolder: Sendable {
  /// Where it is.
  public let folder: String
  /// 20 hexadecimal digits, from the digest of the owner CA's key.
  public var ownerId: String { identifier.text }
  let identifier: OwnerIdentifier
  let issuer: CertificateIssuer

  private init(_ folder: String) throws(OperatorError) {
    self.folder = folder
    issuer = try KeyFiles.issuer(folder + "/ca.pem", folder + "/ca.key")
    do {
      identifier = try OwnerAuthorityProfile.check(issuer.certificate)
    } catch {
      throw OperatorError("file-malformed", "\(folder)/ca.pem is not an owner's CA", cause: error)
    }
  }

  /// - Throws: `file-missing` when there is no owner yet.
  public static func open(_ folder: String) throws(OperatorError) -> OwnerFolder {
    guard PrivateFiles.exists(folder + "/ca.pem") else {
      throw OperatorError(
        "file-missing",
        "there is no owner in \(folder): no file \(folder)/ca.pem; the first haechi claim makes one, or name the folder with --owner DIR")
    }
    return try OwnerFolder(folder)
  }

  /// Opens the owner in `folder`, or makes one with a new CA.
  static func openOrMake(_ folder: String, now_s: Int64) throws(OperatorError) -> (owner: OwnerFolder, isNew: Bool) {
    if PrivateFiles.exists(folder + "/ca.pem") { return (try OwnerFolder(folder), false) }
    try PrivateFiles.makeFolder(folder)
    let key = try KeyFiles.newKey()
    let certificate = try Profiles.ownerCA(key: key, now_s: now_s)
    // The certificate last: a folder with a CA certificate is whole.
    try KeyFiles.write(key, to: folder + "/ca.key")
    try KeyFiles.write(certificate, to: folder + "/ca.pem")
    return (try OwnerFolder(folder), true)
  }

  private var peopleFolder: String { folder + "/people" }

  /// Issues a client certificate of `role` for `name`.
  ///
  /// - Parameter renew: replaces one that is there; else it is refused.
  /// - Throws: `bad-argument`, `file-exists`.
  public func addPerson(_ name: String, role: String, renew: Bool = false, now_s: Int64 = secondsNow()) throws(OperatorError)
    -> PersonRecord
  {
    let person = try Self.personName(name)
    guard let known = Role(rawValue: role) else {
      throw OperatorError(
        "bad-argument", "'\(printable(role.prefix(40)))' is no role; there are: \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    let name = person.text
    let path = "\(peopleFolder)/\(name).pem"
    if !renew, PrivateFiles.exists(path) {
      throw OperatorError(
        "file-exists", "\(name) already has a certificate, \(path); renew it with: haechi person add \(name) --role \(role) --renew")
    }
    let key = try KeyFiles.newKey()
    let certificate = try Profiles.person(issuer: issuer, key: key.publicKey, owner: identifier, name: person, role: known, now_s: now_s)
    try PrivateFiles.makeFolder(peopleFolder)
    try KeyFiles.write(key, to: "\(peopleFolder)/\(name).key", existing: renew ? .replace : .refuse)
    try KeyFiles.write(certificate, to: path, existing: renew ? .replace : .refuse)
    return try record(name)
  }

  /// Everybody who has a certificate here, by name.
  public func people() throws(OperatorError) -> [PersonRecord] {
    guard PrivateFiles.exists(peopleFolder) else { return [] }
    var people: [PersonRecord] = []
    for name in try PrivateFiles.names(peopleFolder) where name.hasSuffix(".pem") { people.append(try record(String(name.dropLast(4)))) }
    return people
  }

  private func record(_ name: String) throws(OperatorError) -> PersonRecord {
    let path = "\(peopleFolder)/\(name).pem"
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
        "\(path) is not a person's certificate of owner \(ownerId); issue it again with: haechi person add \(name) --role ROLE --renew",
        cause: error)
    }
    return PersonRecord(
      name: name, role: role.rawValue, ownerId: ownerId, validUntil: rfc3339(certificate.notAfter_s), certificateFile: path,
      keyFile: "\(peopleFolder)/\(name).key")
  }

  /// Makes sure that `name` is an admin with a certificate that is valid now; issues it where there is none.
  func ensureAdmin(_ name: String, now_s: Int64) throws(OperatorError) {
    guard PrivateFiles.exists("\(peopleFolder)/\(name).pem") else {
      _ = try addPerson(name, role: "admin", now_s: now_s)
      return
    }
    let there = try record(name)
    guard there.role == "admin" else {
      throw OperatorError(
        "bad-argument",
        "\(name) is \(there.role) of this owner (\(there.certificateFile)), and who claims must be admin; use another name with --name")
    }
    _ = try credential(name, now_s: now_s)
  }

  /// The certificate and key of `name`, valid now.
  ///
  /// - Parameter name: nil where the owner has only one person.
  /// - Throws: `unknown-person`, `certificate-expired`.
  func credential(_ name: String?, now_s: Int64) throws(OperatorError) -> Credential {
    let name = if let name { name } else { try onlyPerson() }
    let path = "\(peopleFolder)/\(try Self.personName(name).text).pem"
    guard PrivateFiles.exists(path) else {
      throw OperatorError(
        "unknown-person",
        "'\(name)' has no certificate of this owner (no file \(path)); issue one with: haechi person add \(name) --role ROLE")
    }
    let credential = try KeyFiles.credential(path, "\(peopleFolder)/\(name).key")
    if let refusal = credential.chain.first?.refusal(at: now_s) {
      let advice =
        refusal.kind == .expired ? "renew it with: haechi person add \(name) --role ROLE --renew" : "this machine's clock is behind"
      throw OperatorError("certificate-expired", "\(path): \(refusal.reason); \(advice)")
    }
    return credential
  }

  private func onlyPerson() throws(OperatorError) -> String {
    let names = try people().map(\.name)
    guard let name = names.first else {
      throw OperatorError("unknown-person", "the owner in \(folder) has no people; add yourself with: haechi person add NAME --role admin")
    }
    guard names.count == 1 else {
      throw OperatorError(
        "unknown-person",
        "the owner in \(folder) has several people (\(names.prefix(8).joined(separator: ", "))); say who you are with --as NAME")
    }
    return name
  }

  /// - Throws: `bad-argument` with the form that is wanted.
  static func personName(_ name: String) throws(OperatorError) -> PersonName {
    guard let person = PersonName(name) else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(name.prefix(64)))' cannot be a person's name: use 1 to 32 of a-z, 0-9, '.', '-' or '_', beginning with a letter or digit (claim takes it as --name)"
      )
    }
    return person
  }
}
