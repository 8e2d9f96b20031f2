import Crypto
import Foundations

/// A folder of small files that only the runtime's user may read, each replaced as a whole, mode 0600.
struct PrivateFolder: Sendable {
  /// Two chains of four certificates, twice.
  static let documentMaximum_bytes = 64 * 1024
  static let keyMaximum_bytes = 4 * 1024

  let path: String
  /// Called after each step of a change, so that a test can look at what a cut at this moment would leave.
  var onStep: @Sendable () -> Void = {}
  /// Hears of what could not be written; nil where the folder lies in memory.
  var health: StorageHealth?

  /// nil where there is no such file.
  ///
  /// - Throws: `StateDamage` where it cannot be read as a `Document`; `SystemCallError`.
  func read<Document: Decodable>(
    _ type: Document.Type, _ name: String, as what: String, maximum_bytes: Int = Self.documentMaximum_bytes
  ) throws -> Document? {
    guard let bytes = try read(name, maximum_bytes: maximum_bytes) else { return nil }
    do {
      return try jsonDocument(type, from: bytes)
    } catch {
      throw damage("\(file(name)) cannot be read as \(what)")
    }
  }

  func read(_ name: String, maximum_bytes: Int) throws(SystemCallError) -> [UInt8]? { try AtomicFile.read(file(name), maximum_bytes: maximum_bytes) }

  func write(_ document: some Encodable, _ name: String) throws {
    try replace(name, with: try jsonText(document))
  }

  func replace(_ name: String, with content: [UInt8]) throws(SystemCallError) {
    try kept { () throws(SystemCallError) in try AtomicFile.replace(file(name), with: content, onStep: onStep) }
  }

  func readKey(_ name: String, maximum_bytes: Int = Self.keyMaximum_bytes) throws -> PrivateKey? {
    guard let pem = try AtomicFile.readSecret(file(name), maximum_bytes: maximum_bytes) else { return nil }
    do {
      return try PrivateKey(pem: pem)
    } catch {
      throw damage("\(file(name)) holds no private key that can be used")
    }
  }

  func write(_ key: PrivateKey, _ name: String) throws {
    let pem = try key.pem()
    try kept { () throws(SystemCallError) in try AtomicFile.replace(file(name), with: pem, onStep: onStep) }
  }

  func remove(_ name: String) throws {
    try kept { () throws(SystemCallError) in try AtomicFile.remove(file(name), onStep: onStep) }
  }

  /// Removes everything in it. A file system's own `lost+found`, which is its administrator's, stays.
  func removeAll() throws {
    try kept { () throws(SystemCallError) in try AtomicFile.removeAll(in: path, except: ["lost+found"], onStep: onStep) }
  }

  private func kept(_ change: () throws(SystemCallError) -> Void) throws(SystemCallError) {
    do throws(SystemCallError) {
      try change()
    } catch {
      health?.failed(error)
      throw error
    }
  }

  /// Refuses a document of a version that this firmware does not know.
  func check(version: Int, is known: Int, of name: String) throws(StateDamage) {
    if version != known { throw damage("\(file(name)) has version \(version), which this firmware does not know") }
  }

  private func file(_ name: String) -> String { path + "/" + name }
}

/// What makes a device `damaged`: the sentence is shown to the station.
struct StateDamage: Error {
  let sentence: String
}

func damage(_ sentence: String) -> StateDamage { StateDamage(sentence: sentence) }
