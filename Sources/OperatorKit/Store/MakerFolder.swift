internal import Crypto
internal import FoundationEssentials
internal import Foundations

/// A maker's folder: a CA and the station that may provision with it.
public struct MakerFolder: Encodable, Sendable, Equatable {
  /// Where it is.
  public let folder: String
  /// SHA-256 of the CA's key (SubjectPublicKeyInfo), hexadecimal.
  public let keyDigest: String

  /// Makes a throwaway maker in `folder`: `maker-ca.pem`, `maker-ca.der`, `maker-ca.key`, `station.pem`, `station.key`.
  ///
  /// - Parameter home: where the new CA is remembered as a trusted one; nil to remember nothing.
  /// - Throws: `file-exists` when one of the five is there: nothing is written then.
  public static func make(_ folder: String, home: OperatorHome?, now_s: Int64 = secondsNow()) throws(OperatorError) -> MakerFolder {
    let names = ["maker-ca.pem", "maker-ca.der", "maker-ca.key", "station.pem", "station.key"]
    for name in names where PrivateFiles.exists("\(folder)/\(name)") {
      throw OperatorError(
        "file-exists",
        "\(folder)/\(name) is already there and is not overwritten; name another folder with --out, or use this maker: haechi provision --station \(folder)"
      )
    }
    let caKey = try KeyFiles.newKey()
    let ca = try Profiles.makerCA(key: caKey, now_s: now_s)
    let stationKey = try KeyFiles.newKey()
    let station = try Profiles.station(issuer: try Profiles.issuer(ca, caKey), key: stationKey.publicKey, now_s: now_s)
    try PrivateFiles.makeFolder(folder)
    // The certificates last: a folder with a CA certificate is whole.
    try KeyFiles.write(caKey, to: folder + "/maker-ca.key")
    try KeyFiles.write(stationKey, to: folder + "/station.key")
    try KeyFiles.write(station, to: folder + "/station.pem")
    try PrivateFiles.write(ca.der, to: folder + "/maker-ca.der", existing: .refuse, mode: 0o644)
    try KeyFiles.write(ca, to: folder + "/maker-ca.pem")
    if let home { try remember(ca, home) }
    return MakerFolder(folder: folder, keyDigest: hexadecimal(ca.publicKeyDigest))
  }

  /// Trusts `ca` as a maker from now on.
  static func remember(_ ca: Certificate, _ home: OperatorHome) throws(OperatorError) {
    let path = "\(home.knownMakersFolder)/\(hexadecimal(ca.sha256Fingerprint.prefix(10))).pem"
    guard !PrivateFiles.exists(path) else { return }
    try PrivateFiles.makeFolder(home.knownMakersFolder)
    try KeyFiles.write(ca, to: path)
  }

  /// The maker CAs that the operator trusts.
  static func known(_ home: OperatorHome) throws(OperatorError) -> [Certificate] {
    guard PrivateFiles.exists(home.knownMakersFolder) else { return [] }
    var makers: [Certificate] = []
    for name in try PrivateFiles.names(home.knownMakersFolder) where name.hasSuffix(".pem") {
      makers.append(try KeyFiles.certificate("\(home.knownMakersFolder)/\(name)"))
    }
    return makers
  }
}

/// The station: its own certificate, and the maker's CA that it signs with.
struct Station: Sendable {
  let credential: Credential
  let issuer: CertificateIssuer

  /// Reads `maker-ca.pem`, `maker-ca.key`, `station.pem` and `station.key` of `folder`.
  ///
  /// - Throws: `file-missing` and its kin, naming the file; `certificate-expired`.
  init(_ folder: String, now_s: Int64 = secondsNow()) throws(OperatorError) {
    guard PrivateFiles.exists(folder) else {
      throw OperatorError(
        "file-missing", "there is no station in \(folder); make a throwaway one with: haechi maker new, or name one with --station DIR")
    }
    issuer = try KeyFiles.issuer(folder + "/maker-ca.pem", folder + "/maker-ca.key")
    credential = try KeyFiles.credential(folder + "/station.pem", folder + "/station.key")
    guard let leaf = credential.chain.first else { throw OperatorError("file-malformed", "\(folder)/station.pem holds no certificate") }
    if let refusal = leaf.refusal(at: now_s) {
      throw OperatorError(
        "certificate-expired", "\(folder)/station.pem: \(refusal.reason); correct this machine's clock, or have the maker issue another",
        cause: nil)
    }
    guard let authority = issuer.certificate.publicKey, leaf.isSigned(by: authority) || credential.chain.count > 1 else {
      throw OperatorError(
        "file-malformed", "\(folder)/station.pem is not signed by \(folder)/maker-ca.pem; the two come from different makers")
    }
  }
}
