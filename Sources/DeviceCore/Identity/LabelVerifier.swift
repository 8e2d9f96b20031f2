public import Crypto
public import Foundations

/// How a label's code becomes a key: the salt and the cost of scrypt.
public struct LabelParameters: Hashable, Sendable {
  /// 16 random bytes.
  public let salt: [UInt8]
  public let cost: ScryptCost

  /// How many bytes a salt has.
  public static let salt_bytes = 16
  /// N = 2^15, r = 8, p = 1: 32 MiB and about 0.1 s on a desktop. The code has 128 random bits already; the slow hash is what still stands
  /// where a station's random numbers were bad.
  public static let usualCost: ScryptCost = {
    guard let cost = ScryptCost(n: 1 << 15, r: 8, p: 1) else { preconditionFailure("the usual cost is within bounds") }
    return cost
  }()
  /// Less than this is refused: N = 2^14, r = 8.
  static let leastMemory_bytes = 128 * (1 << 14) * 8

  /// nil where the salt has not 16 bytes, or the cost is out of bounds or too small to protect anything. Total: the numbers may come from outside.
  public init?(salt: [UInt8], n: Int, r: Int, p: Int) {
    guard salt.count == Self.salt_bytes, let cost = ScryptCost(n: n, r: r, p: p), 128 * n * r >= Self.leastMemory_bytes else { return nil }
    self.salt = salt
    self.cost = cost
  }

  /// A new salt and the usual cost.
  ///
  /// - Throws: `openssl-failed` where the random generator has no entropy.
  public static func fresh() throws(CryptoError) -> LabelParameters {
    LabelParameters(checkedSalt: try randomBytes(salt_bytes), cost: usualCost)
  }

  private init(checkedSalt: [UInt8], cost: ScryptCost) {
    salt = checkedSalt
    self.cost = cost
  }
}

/// What a device keeps of its label's code: it can tell a right proof from a wrong one by it, and nobody can make a proof of it.
///
/// The construction is SCRAM's (RFC 5802 section 3) with SHA-256, and scrypt (RFC 7914) in place of PBKDF2:
///
///     salted    = scrypt(code, salt, N, r, p; 32 bytes)
///     clientKey = HMAC(salted, "haechi-claim-1 client")
///     storedKey = SHA-256(clientKey)
///
/// The station computes it, so that the device never sees the code and never needs scrypt's memory.
public struct LabelVerifier: Hashable, Sendable {
  public let parameters: LabelParameters
  /// 32 bytes.
  public let storedKey: [UInt8]

  /// nil where `storedKey` has not 32 bytes.
  public init?(parameters: LabelParameters, storedKey: [UInt8]) {
    guard storedKey.count == 32 else { return nil }
    self.parameters = parameters
    self.storedKey = storedKey
  }

  /// The verifier of `code`; takes the time and the memory of `parameters`.
  ///
  /// - Throws: `openssl-failed`.
  public init(code: LabelCode, parameters: LabelParameters) throws(CryptoError) {
    self.parameters = parameters
    storedKey = sha256(try Self.clientKey(code: code, parameters: parameters))
  }

  /// The key that only who knows the code has: 32 bytes.
  ///
  /// - Throws: `openssl-failed`.
  public static func clientKey(code: LabelCode, parameters: LabelParameters) throws(CryptoError) -> SecretBytes {
    let salted = try scrypt(secret: code.secret, salt: parameters.salt, cost: parameters.cost, count: 32)
    return try derivedKey(from: salted, purpose: "haechi-claim-1 client".utf8)
  }
}
