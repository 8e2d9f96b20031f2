/// `GET /v1/receipt`: what the device signed after its last wipe. It can be verified without the device (`haechi receipt verify`).
public struct WipeReceiptDocument: Codable, Sendable, Equatable {
  /// JSON of a `WipeStatement`, as text: the signature is over these bytes.
  public var statement: String
  /// By the device's identity key over `WipeStatement.signedBytes`; hexadecimal.
  public var signature: String
  /// PEM, the IDevID certificate first.
  public var certificateChain: String

  public init(statement: String, signature: String, certificateChain: String) {
    self.statement = statement
    self.signature = signature
    self.certificateChain = certificateChain
  }
}
