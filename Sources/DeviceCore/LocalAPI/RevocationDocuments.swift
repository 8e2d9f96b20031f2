/// `GET /v1/revocations`: which certificates of the owner the device refuses although their time has not come.
public struct RevocationsDocument: Codable, Sendable, Equatable {
  /// Of the newest list; 0 before the first.
  public var number: UInt64
  /// Serial numbers, hexadecimal, in the list's order.
  public var revoked: [String]

  public init(number: UInt64, revoked: [String]) {
    self.number = number
    self.revoked = revoked
  }
}

/// `PUT /v1/revocations`.
public struct RevocationsRequest: RequestDocument, Codable, Equatable {
  public static let fieldNames: Set<String> = ["list"]
  /// The owner's revocation list, PEM (`X509 CRL`).
  public var list: String

  public init(list: String) { self.list = list }
}
