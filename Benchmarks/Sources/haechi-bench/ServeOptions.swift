import Crypto
import Foundations
import Glibc

/// What a benchmark's server is told on its command line.
struct ServeOptions {
  static let help = """
    usage: haechi-bench serve --certificate FILE --key FILE --owner FILE [--no-guard] [--no-log] [--body-bytes N] [--burst N]
           haechi-bench json [SECONDS]
           haechi-bench vault FOLDER COUNT

    serve  the local API over mutual TLS on 127.0.0.1, and a body of N bytes on a second port; prints both ports
    json   encodes and decodes the API's documents in a loop; prints operations and nanoseconds on a processor
    vault  fills a vault in an empty folder with COUNT (100 to 16000) records and entries and reads them; prints the same and nanoseconds by the clock
    """

  /// A sentence that says what to change.
  struct Problem: Error, CustomStringConvertible { let description: String }

  var certificate: Certificate
  var key: PrivateKey
  /// The owner's CA, whose people are served.
  var owner: Certificate
  /// Whether refused handshakes are told to the guard.
  var hasGuard = true
  /// Whether refusals and ended connections are written to the device's log.
  var hasLog = true
  var body_bytes = 16 << 20
  /// Events that one burst publishes.
  var burst = 500

  init(_ arguments: [String]) throws {
    var files: [String: String] = [:]
    var rest = arguments[...]
    while let option = rest.popFirst() {
      switch option {
      case "--no-guard": hasGuard = false
      case "--no-log": hasLog = false
      case "--certificate", "--key", "--owner", "--body-bytes", "--burst":
        guard let value = rest.popFirst() else { throw Problem(description: "\(option) needs a value") }
        files[option] = value
      default: throw Problem(description: "unknown argument \(option)\n\(Self.help)")
      }
    }
    func file(_ option: String) throws -> [UInt8] {
      guard let path = files[option] else { throw Problem(description: "\(option) is missing\n\(Self.help)") }
      return try readFile(path)
    }
    certificate = try Certificate(pem: String(decoding: try file("--certificate"), as: UTF8.self))
    key = try PrivateKey(pem: SecretBytes(copying: try file("--key")))
    owner = try Certificate(pem: String(decoding: try file("--owner"), as: UTF8.self))
    if let value = files["--body-bytes"] { body_bytes = try Self.number(value, "--body-bytes") }
    if let value = files["--burst"] { burst = try Self.number(value, "--burst") }
  }

  private static func number(_ text: String, _ option: String) throws -> Int {
    guard let number = Int(text), (1...1 << 30).contains(number) else { throw Problem(description: "\(option) \(text): give a number from 1 to 2^30") }
    return number
  }
}

/// A file's bytes, at most 64 KiB.
private func readFile(_ path: String) throws -> [UInt8] {
  guard let file = fopen(path, "r") else { throw SystemCallError("fopen", number: errno, subject: path) }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 65_536)
  let count = fread(&bytes, 1, bytes.count, file)
  return Array(bytes.prefix(count))
}
