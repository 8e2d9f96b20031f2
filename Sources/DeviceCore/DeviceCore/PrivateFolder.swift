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

  /// nil where there is no such file.
  ///
  /// - Throws: `StateDamage` where it cannot be read as a `Document`; `SystemCallError`.
  func read<Document: Decodable>(_ type: Document.Type, _ name: String, as what: String) throws -> Document? {
    guard let bytes = try AtomicFile.read(file(name), maximum_bytes: Self.documentMaximum_bytes) else { return nil }
    do {
      return try jsonDocument(type, from: bytes)
    } catch {
      throw damage("\(file(name)) cannot be read as \(what)")
    }
  }

  func write(_ document: some Encodable, _ name: String) throws {
    try AtomicFile.replace(file(name), with: try jsonText(document), onStep: onStep)
  }

  func readKey(_ name: String) throws -> PrivateKey? {
    guard let pem = try AtomicFile.readSecret(file(name), maximum_bytes: Self.keyMaximum_bytes) else { return nil }
    do {
      return try PrivateKey(pem: pem)
    } catch {
      throw damage("\(file(name)) holds no private key that can be used")
    }
  }

  func write(_ key: PrivateKey, _ name: String) throws { try AtomicFile.replace(file(name), with: try key.pem(), onStep: onStep) }

  func remove(_ name: String) throws { try AtomicFile.remove(file(name), onStep: onStep) }

  /// Removes everything in it. A file system's own `lost+found`, which is its administrator's, stays.
  func removeAll() throws { try AtomicFile.removeAll(in: path, except: ["lost+found"], onStep: onStep) }

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
