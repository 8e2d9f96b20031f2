internal import BoardAPI
internal import Foundations

/// Rules that nobody enforces: a host's own network is its owner's matter, so they are only written down, in `policy` of the board's folder.
///
/// For tests of what follows from undeclared traffic, a number in the file `undeclared` is what was counted.
final class RecordedPolicy: NetworkPolicy {
  private let folder: String

  init(folder: String) { self.folder = folder }

  func apply(_ rules: NetworkPolicyRules) throws(BoardError) {
    let lines =
      ["grade \(rules.grade.word)", "serve \(rules.servedPort)"] + rules.destinations.map { "destination \($0.address) port \($0.port)" }
      + rules.resolvers.map { "resolver \($0)" } + (rules.discovers ? ["discovery"] : [])
    do throws(SystemCallError) {
      try AtomicFile.replace(folder + "/policy", with: Array((lines.joined(separator: "\n") + "\n").utf8))
    } catch {
      throw BoardError(code: "policy-failed", reason: "the rules could not be written down", cause: error)
    }
  }

  func undeclaredPackets() throws(BoardError) -> UInt64 {
    guard let bytes = try? AtomicFile.readSmall(folder + "/undeclared", maximum_bytes: 32) else { return 0 }
    return UInt64(String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }) ?? 0
  }
}
