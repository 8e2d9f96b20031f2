internal import Foundations

/// Addresses of devices in a file: one `HOST:PORT` a line, `#` begins a comment.
public enum AddressList {
  /// More than one run is meant for.
  public static let mostAddresses = 100_000

  /// - Throws: `file-malformed`, naming the line; `bad-argument` where none or too many are in it, or one is there twice.
  public static func read(_ path: String) throws(OperatorError) -> [Endpoint] {
    let text = String(decoding: try PrivateFiles.read(path, atMost: 8 * PrivateFiles.largestFile_bytes), as: UTF8.self)
    var endpoints: [Endpoint] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      guard let word = words.first else { continue }
      guard words.count == 1, let endpoint = try? Endpoint(String(word)) else {
        throw OperatorError("file-malformed", "\(path), line \(index + 1): '\(printable(line.prefix(80)))' is no address; write HOST:PORT")
      }
      endpoints.append(endpoint)
    }
    return try check(endpoints)
  }

  /// - Throws: `bad-argument` for none, too many, or one twice.
  public static func check(_ endpoints: [Endpoint]) throws(OperatorError) -> [Endpoint] {
    guard (1...mostAddresses).contains(endpoints.count) else {
      throw OperatorError("bad-argument", "a run has 1 to \(mostAddresses) addresses of devices, not \(endpoints.count)")
    }
    var seen = Set<String>()
    for endpoint in endpoints where !seen.insert(endpoint.description).inserted {
      throw OperatorError("bad-argument", "the address \(endpoint) is there twice; each device is provisioned once")
    }
    return endpoints
  }
}
