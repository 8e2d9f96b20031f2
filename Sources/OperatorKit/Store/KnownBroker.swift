internal import Crypto
internal import FoundationEssentials
internal import Foundations

/// A broker, and the CA that its certificate must lead to.
public struct KnownBroker: Sendable, Equatable {
  /// MQTT over TLS (IANA `secure-mqtt`), where no port is named.
  public static let defaultPort = 8883
  /// The form of the file; a tool that finds a higher number refuses instead of guessing.
  private static let currentVersion = 1

  private(set) var destination: CloudDestination
  let authority: Certificate
  /// The owner's folder and the person that bound a device to it last; nil for the usual ones.
  var ownerFolder: String?
  var person: String?

  /// `HOST:PORT`.
  public var address: String { destination.description }

  private struct File: Codable {
    var version: Int
    var broker: String
    var authority: String
    var ownerFolder: String?
    var person: String?
  }

  /// - Parameters:
  ///   - address: `HOST:PORT`; the port is 8883 where there is none.
  ///   - authorityFile: the broker's CA certificate, PEM or DER.
  /// - Throws: `bad-argument`, `certificate-expired`, and what is wrong with the file.
  public init(address: String, authorityFile: String, now_s: Int64 = secondsNow()) throws(OperatorError) {
    destination = try Self.destination(address)
    let certificate = try KeyFiles.certificate(authorityFile)
    guard certificate.isAuthority else {
      throw OperatorError(
        "file-malformed",
        "\(authorityFile) is the certificate of \(printable(certificate.subject)), which can sign no others; name the CA that signed the broker's certificate"
      )
    }
    guard certificate.isSelfIssued else {
      throw OperatorError(
        "file-malformed",
        "\(authorityFile) is an authority that \(printable(certificate.issuer)) signed; name the CA at the top, whose certificate it signed itself")
    }
    if let refusal = certificate.refusal(at: now_s) {
      throw OperatorError("certificate-expired", "\(authorityFile): \(refusal.reason); no broker of it can be trusted now")
    }
    authority = certificate
  }

  private init(_ file: File) throws {
    destination = try Self.destination(file.broker)
    authority = try Certificate(pem: file.authority)
    ownerFolder = file.ownerFolder
    person = file.person
  }

  /// The same broker at another address: what a device reaches as one, the operator may reach as another.
  ///
  /// - Throws: `bad-argument`.
  func at(_ address: String) throws(OperatorError) -> KnownBroker {
    var moved = self
    moved.destination = try Self.destination(address)
    return moved
  }

  private static func destination(_ address: String) throws(OperatorError) -> CloudDestination {
    let endpoint = try Endpoint(address, defaultPort: defaultPort)
    guard let port = UInt16(exactly: endpoint.port), let destination = CloudDestination(host: endpoint.host, port: port) else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(address))' is no broker: a certificate is for a host name of at most \(CloudDestination.hostMaximum_bytes) letters, digits, '-' and '.', or for a numeric address"
      )
    }
    return destination
  }

  /// The broker of the last bind; nil where there was none.
  ///
  /// - Throws: what is wrong with the file.
  public static func load(_ home: OperatorHome) throws(OperatorError) -> KnownBroker? {
    let path = home.brokerFile
    guard PrivateFiles.exists(path) else { return nil }
    let content = try PrivateFiles.read(path)
    let advice = "repair it, or bind again with: haechi cloud bind --broker HOST:PORT --authority FILE"
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: Data(content))
    } catch {
      throw OperatorError("file-malformed", "\(path) names no broker: \(explain(decoding: error)); \(advice)")
    }
    guard file.version == currentVersion else {
      throw OperatorError(
        "file-malformed", "\(path) has version \(file.version) and this haechi reads version \(currentVersion); use the haechi that wrote it")
    }
    do {
      return try KnownBroker(file)
    } catch {
      throw OperatorError("file-malformed", "\(path) names no broker that can be used; \(advice)", cause: error)
    }
  }

  /// Remembers it as the broker of the last bind.
  func save(_ home: OperatorHome) throws(OperatorError) {
    try PrivateFiles.makeFolder(home.path)
    let content = try encode(
      File(version: Self.currentVersion, broker: address, authority: authority.pem, ownerFolder: ownerFolder, person: person))
    try PrivateFiles.write(content + [0x0a], to: home.brokerFile, existing: .replace)
  }
}
