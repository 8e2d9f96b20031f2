import Foundations

/// Values as the vault stores them: JSON, with sorted names.
enum TypedValue {
  static func encode(_ value: some Encodable, of kind: String) throws(VaultError) -> SecretBytes {
    do {
      return SecretBytes(copying: try jsonText(value))
    } catch {
      throw VaultError("value-unreadable", "a value of \(kind) cannot be written as JSON", cause: error)
    }
  }

  static func decode<Value: Decodable>(_ bytes: SecretBytes, of kind: String) throws(VaultError) -> Value {
    do {
      return try jsonDocument(Value.self, from: bytes.withUnsafeBytes { Array($0) })
    } catch {
      throw VaultError(
        "value-unreadable", "a stored value of \(kind) is not of the type that this firmware reads it as: give changed types a new kind", cause: error)
    }
  }
}
