internal import Crypto
internal import FoundationEssentials
internal import Foundations
public import Identity
internal import TLS

/// A receipt of a wipe that was found good.
public struct VerifiedReceipt: Encodable, Sendable, Equatable {
  public let statement: WipeStatement
  /// The maker's CA that vouches for the device, by the SHA-256 of its certificate in hexadecimal.
  public let makerFingerprint: String
}

/// What a device signed after its wipe: who gives it away shows it to who takes it.
public struct Receipts: Sendable {
  /// A receipt is some kilobytes.
  private static let largest_bytes = 64 * 1024

  /// `GET /v1/receipt`, and the file that a receipt is.
  private struct Document: Codable {
    var statement: String
    var signature: String
    var certificateChain: String
  }

  private let home: OperatorHome
  private let makers: [Certificate]
  private let now_s: Int64

  /// - Parameter makerCAFile: the CA certificate of the device's maker; nil to use those that are known.
  /// - Throws: `unknown-maker` where no maker's CA is known.
  public init(home: OperatorHome, makerCAFile: String?, now_s: Int64 = secondsNow()) throws(OperatorError) {
    self.home = home
    self.now_s = now_s
    makers = if let makerCAFile { [try KeyFiles.certificate(makerCAFile)] } else { try MakerFolder.known(home) }
    guard !makers.isEmpty else {
      throw OperatorError("unknown-maker", "no maker's CA is known here, so nothing can tell a genuine receipt from a false one; give --maker-ca FILE")
    }
  }

  /// Fetches the receipt of a device, verifies it, and writes it to `file`.
  ///
  /// A device of the operator's own gives it to its members; one without an owner to anyone.
  ///
  /// - Parameter device: an id, an alias or HOST:PORT; nil for the only known device.
  /// - Throws: `refused-by-device` where there is none; `file-exists`; what `verify` throws.
  public func fetch(device: String?, to file: String) async throws(OperatorError) -> VerifiedReceipt {
    if PrivateFiles.exists(file) { throw OperatorError("file-exists", "\(file) exists already; name another file with --output") }
    let document: Document
    switch try DeviceBook.load(home).choose(device) {
    case .known(let known) where known.ownerId != nil:
      document = try await OwnedDevice(home: home, device: known.deviceId).with { (client) throws(OperatorError) in
        try await client.get(Document.self, "/v1/receipt")
      }
    case .known(let known):
      guard let address = known.address, let digest = bytes(hexadecimal: known.deviceId) else {
        throw OperatorError("unknown-device", "device \(known.name) is no longer at its last address; say where it is with --device HOST:PORT")
      }
      document = try await fetch(try Endpoint(address), trust: .publicKeyDigest(digest), name: "device \(known.name)")
    case .address(let endpoint):
      document = try await fetch(endpoint, trust: .authorityAnyName(makers), name: "a device of a maker that is known here")
    }
    let verified = try verify(document, of: "the receipt")
    try PrivateFiles.write(try encode(document) + Array("\n".utf8), to: file, existing: .refuse, mode: 0o644)
    return verified
  }

  private func fetch(_ endpoint: Endpoint, trust: ServerTrust, name: String) async throws(OperatorError) -> Document {
    let security = try ConnectionSecurity(
      credential: try Claiming.claimant(now_s: now_s), trust: trust, peerName: name, policy: Profiles.refusalOfMakersDevice)
    return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
      try await DeviceClient(connection).get(Document.self, "/v1/receipt")
    }
  }

  /// Verifies a receipt without its device: the signature of the statement, and that the key is a device's of a maker that is known here.
  ///
  /// - Throws: `file-malformed`, `receipt-wrong`.
  public func verify(file: String) throws(OperatorError) -> VerifiedReceipt {
    let bytes = try PrivateFiles.read(file, atMost: Self.largest_bytes)
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: Data(bytes))
    } catch {
      throw OperatorError("file-malformed", "\(file) is no receipt: \(explain(decoding: error)); get one with: haechi receipt get")
    }
    return try verify(document, of: file)
  }

  private func verify(_ document: Document, of source: String) throws(OperatorError) -> VerifiedReceipt {
    func wrong(_ why: String) -> OperatorError { OperatorError("receipt-wrong", "\(source) proves nothing: \(why)") }
    let statement: WipeStatement
    do {
      statement = try JSONDecoder().decode(WipeStatement.self, from: Data(document.statement.utf8))
    } catch {
      throw wrong("its statement is not one that this haechi knows (\(explain(decoding: error)))")
    }
    guard statement.version == WipeStatement.currentVersion else {
      throw wrong("its statement is of version \(statement.version), and this haechi knows \(WipeStatement.currentVersion)")
    }
    let chain: [Certificate]
    do {
      chain = try Certificate.chain(pem: document.certificateChain)
    } catch {
      throw wrong("its certificates cannot be read (\(error.reason))")
    }
    guard let leaf = chain.first, let key = leaf.publicKey else { throw wrong("there is no certificate in it") }
    let root: Certificate
    do {
      // It was good when the device was made, and the device cannot get another one.
      guard
        let found = try ChainVerifier(authorities: makers, purpose: .server)
          .verifiedChain(leaf: leaf, intermediates: Array(chain.dropFirst()), time_s: max(now_s, leaf.notBefore_s)).last
      else { throw wrong("there is no certificate in it") }
      root = found
    } catch let refusal as CertificateRefusal {
      throw wrong("its certificate is not of a maker that is known here: \(refusal.reason)")
    } catch {
      throw error as? OperatorError ?? wrong("its certificates cannot be checked")
    }
    if let refusal = Profiles.refusalOfMakersDevice(leaf) { throw wrong(refusal.reason) }
    guard let signature = bytes(hexadecimal: document.signature), key.isValid(signature: signature, of: WipeStatement.signedBytes(document.statement))
    else { throw wrong("the signature is not the device's, or the statement was changed") }
    guard DeviceIdentifier(publicKeyDigest: leaf.publicKeyDigest)?.text == statement.deviceId, leaf.subjectSerialNumber == statement.serialNumber else {
      throw wrong("its statement is about another device than its certificate")
    }
    return VerifiedReceipt(statement: statement, makerFingerprint: hexadecimal(root.sha256Fingerprint))
  }
}
