import Foundations

/// What the image says of itself: written into it when it was made, and covered by its signature.
struct BuildFacts: Equatable {
  /// `0.0.0+commit` where no release tag stands on the commit.
  var version = "0.0.0+host"
  /// `release`, `debug`, or `host` for a build that is no image.
  var variant = "host"
  var board = "virtual"
  /// Seconds since 1970 UTC; no time before is believed. 0 for a build that is no image: a development host's clock is its owner's matter.
  var built_s: Int64 = 0

  /// Of a development host.
  static let host = BuildFacts()

  /// Those of the running image; of a host where it is none, or where they cannot be read.
  static var ofThisImage: BuildFacts {
    guard ThisBoard.isDevice, let bytes = try? AtomicFile.readSmall(path, maximum_bytes: 16 * 1024) else { return .host }
    return (try? BuildFacts(text: String(decoding: bytes, as: UTF8.self))) ?? .host
  }

  /// Where an image keeps them.
  static let path = "/etc/haechi/build"

  /// - Parameter text: lines of `key=value`; keys that are not known here are passed over.
  /// - Throws: a sentence that names the key that is missing or no number.
  init(text: String) throws(BuildFactsError) {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { throw BuildFactsError("the line '\(line)' is not key=value") }
      values[parts[0]] = parts[1]
    }
    func value(_ key: Substring) throws(BuildFactsError) -> String {
      guard let value = values[key], !value.isEmpty else { throw BuildFactsError("\(key) is missing") }
      return String(value)
    }
    version = try value("version")
    variant = try value("variant")
    board = try value("board")
    guard let built_s = Int64(try value("build_time_s")), built_s > 0 else { throw BuildFactsError("build_time_s is no time") }
    self.built_s = built_s
  }

  private init() {}
}

/// The image was not put together as it should be.
struct BuildFactsError: HaechiError {
  let reason: String
  init(_ what: String) { reason = "\(BuildFacts.path): \(what); make the image anew" }
  var code: String { "build-facts-invalid" }
  var cause: (any Error)? { nil }
}
