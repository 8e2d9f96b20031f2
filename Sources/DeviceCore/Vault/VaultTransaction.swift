public import Foundations

/// What a transaction is to do, before it is committed. All of it happens, or nothing.
public struct VaultTransaction: Sendable {
  /// A record's new value; nil removes it. The last one for a name counts.
  private(set) var records: [(name: String, value: SecretBytes?)] = []
  private(set) var entries: [(log: String, value: SecretBytes)] = []
  /// Where in `records` a name is.
  private var places: [String: Int] = [:]
  private let configuration: VaultConfiguration

  init(_ configuration: VaultConfiguration) { self.configuration = configuration }

  var isEmpty: Bool { records.isEmpty && entries.isEmpty }

  /// - Throws: `kind-unknown`, `name-invalid`, `value-too-large`, `value-unreadable` where the value cannot be encoded.
  public mutating func put<Value>(_ kind: RecordKind<Value>, key: String? = nil, _ value: Value) throws(VaultError) {
    try put(kind.declaration, key: key, bytes: try TypedValue.encode(value, of: kind.declaration.name))
  }

  /// As above, for bytes that are no document: a key's encoding.
  public mutating func put(_ kind: VaultKind, key: String? = nil, bytes: SecretBytes) throws(VaultError) {
    let name = try configuration.recordName(kind, key)
    try check(kind, bytes)
    stage(name, bytes)
  }

  /// Removes a record; nothing happens where there is none.
  public mutating func remove<Value>(_ kind: RecordKind<Value>, key: String? = nil) throws(VaultError) {
    try remove(kind.declaration, key: key)
  }

  public mutating func remove(_ kind: VaultKind, key: String? = nil) throws(VaultError) {
    stage(try configuration.recordName(kind, key), nil)
  }

  /// - Throws: as `put`.
  public mutating func append<Entry>(_ kind: LogKind<Entry>, _ value: Entry) throws(VaultError) {
    let declaration = kind.declaration
    try configuration.checkDeclared(declaration, .log)
    let bytes = try TypedValue.encode(value, of: declaration.name)
    try check(declaration, bytes)
    entries.append((log: declaration.name, value: bytes))
  }

  private func check(_ kind: VaultKind, _ bytes: SecretBytes) throws(VaultError) {
    guard bytes.count <= configuration.limits.value_bytes else {
      throw VaultError("value-too-large", "a value of \(kind.name) has \(bytes.count) bytes; at most \(configuration.limits.value_bytes) are kept")
    }
  }

  private mutating func stage(_ name: String, _ value: SecretBytes?) {
    if let place = places[name] {
      records[place].value = value
    } else {
      places[name] = records.count
      records.append((name: name, value: value))
    }
  }
}

extension VaultConfiguration {
  /// - Throws: `kind-unknown`.
  func checkDeclared(_ kind: VaultKind, _ form: VaultKind.Form) throws(VaultError) {
    guard kind.form == form, kinds.contains(kind) else {
      throw VaultError(
        "kind-unknown", "the vault \(name) was opened without \(form == .log ? "the log" : "records of the kind") \(kind.name): declare it there")
    }
  }

  /// The name that a record has in the file: `KIND` or `KIND/KEY`.
  ///
  /// - Throws: `kind-unknown`, `name-invalid`.
  func recordName(_ kind: VaultKind, _ key: String?) throws(VaultError) -> String {
    try checkDeclared(kind, .records)
    guard let key else { return kind.name }
    guard (1...190).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw VaultError("name-invalid", "a key has 1 to 190 printable ASCII characters without spaces; one of \(kind.name) does not fit")
    }
    return kind.name + "/" + key
  }
}
