import Foundations
import Identity
import LocalAPI

/// What a device keeps of its label's code: a salt, the costs of the slow hash (scrypt, RFC 7914), and the SHA-256 of the key that the code becomes with
/// them. The code itself never comes here.
struct StoredLabel: Codable, Equatable {
  /// A power of two.
  static let n = 1 << 14...1 << 20
  static let r = 8...32
  static let p = 1...4
  static let salt_bytes = 16

  /// Hexadecimal digits, as all three in the API.
  var salt: String
  var n: Int
  var r: Int
  var p: Int
  var storedKey: String

  /// The label of a provisioning request, or the problem that names what is wrong with it.
  init(_ request: LabelDocument) throws(Problem) {
    (salt, n, r, p, storedKey) = (request.salt, request.n, request.r, request.p, request.storedKey)
    if let fault = fault { throw .unprocessable("label-invalid", "label.\(fault).", field: "label") }
  }

  /// What is out of its bounds; nil where nothing is.
  var fault: String? {
    if Foundations.bytes(hexadecimal: salt)?.count != Self.salt_bytes { return "salt must be \(Self.salt_bytes * 2) hexadecimal digits" }
    if !Self.n.contains(n) || n & (n - 1) != 0 { return "n must be a power of two from \(Self.n.lowerBound) to \(Self.n.upperBound)" }
    if !Self.r.contains(r) { return "r must be \(Self.r.lowerBound) to \(Self.r.upperBound)" }
    if !Self.p.contains(p) { return "p must be \(Self.p.lowerBound) to \(Self.p.upperBound)" }
    if Foundations.bytes(hexadecimal: storedKey)?.count != LabelProof.proof_bytes {
      return "storedKey must be \(LabelProof.proof_bytes * 2) hexadecimal digits"
    }
    return nil
  }

  /// What a claimant needs to know of it.
  var parameters: LabelParametersDocument { LabelParametersDocument(salt: salt, n: n, r: r, p: p) }

  /// Whether `proof` is right for `context`; see `LabelProof`.
  func isValid(_ proof: [UInt8], context: [UInt8]) -> Bool {
    guard let key = Foundations.bytes(hexadecimal: storedKey) else { return false }
    return (try? LabelProof.isValid(proof, storedKey: key, context: context)) ?? false
  }
}
