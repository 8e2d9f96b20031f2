internal import BoardAPI
internal import Foundations
internal import Glibc

#if HAECHI_DEVICE_LIBRARIES
  internal import CNftables
#endif

/// The kernel's packet filter: rules by libnftables, in a worker; the one question of PID 1 by a netlink message of its own.
final class NftablesPolicy: NetworkPolicy {
  private let interface: String
  private let runtimeUser: UInt32
  /// Opened when first used: a board is made before anything can fail.
  private var openedQuestions: NetlinkSocket?
  /// The kernel answers before send(2) returns; this bounds what a broken one can cost PID 1.
  private static let answerPatience_ms: UInt64 = 5

  /// - Parameter runtimeUser: the user whose undeclared flows are counted.
  init(interface: String, runtimeUser: UInt32) {
    self.interface = interface
    self.runtimeUser = runtimeUser
  }

  func apply(_ rules: NetworkPolicyRules) throws(BoardError) {
    try Nftables.run(NftablesRuleSet(rules, interface: interface, runtimeUser: runtimeUser).script, subject: "\(interface): \(rules.grade.word)")
  }

  func undeclaredPackets() throws(BoardError) -> UInt64 {
    let socket: NetlinkSocket
    if let openedQuestions {
      socket = openedQuestions
    } else {
      socket = try NetlinkSocket(.netfilter, groups: 0, code: "policy-failed", patience_ms: Self.answerPatience_ms)
    }
    openedQuestions = socket
    let subject = "counter \(NftablesRuleSet.counter)"
    let request = NftablesRequest.getCounter(table: NftablesRuleSet.table, name: NftablesRuleSet.counter)
    // No such table: no rules were applied yet.
    let answers = try socket.request(request, subject: subject, tolerated: [ENOENT])
    guard let answer = answers.first else { return 0 }
    guard let facts = CounterFacts(answer), facts.name == NftablesRuleSet.counter else {
      throw BoardError(code: "policy-failed", reason: "\(subject): the kernel's answer is no counter")
    }
    return facts.packets
  }
}

/// libnftables. It allocates, and ends the process where it has no memory or no socket: never to be called in PID 1.
enum Nftables {
  /// Runs a script as one transaction: where a line of it fails, nothing has changed.
  static func run(_ script: String, subject: String) throws(BoardError) {
    #if HAECHI_DEVICE_LIBRARIES
      guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
        throw BoardError(code: "policy-failed", reason: "\(subject): libnftables has no context")
      }
      defer { nft_ctx_free(context) }
      // Its words go nowhere but to the error below, and an address is never looked up as a name.
      guard nft_ctx_buffer_output(context) == 0, nft_ctx_buffer_error(context) == 0 else {
        throw BoardError(code: "policy-failed", reason: "\(subject): libnftables has no memory")
      }
      _ = nft_ctx_input_set_flags(context, haechi_nft_no_lookup)
      guard nft_run_cmd_from_buffer(context, script) == 0 else {
        let words = nft_ctx_get_error_buffer(context).map { firstLine(String(cString: $0)) } ?? ""
        throw BoardError(code: "policy-failed", reason: "\(subject): \(words.isEmpty ? "libnftables refused the rules without a word" : words)")
      }
    #else
      throw BoardError(code: "not-built-in", reason: "\(subject): this program was built without libnftables: cross-build it for the device")
    #endif
  }

  /// At most 160 bytes: what follows repeats the script.
  static func firstLine(_ text: String) -> String {
    String(decoding: text.utf8.prefix { $0 != UInt8(ascii: "\n") }.prefix(160), as: UTF8.self)
  }
}
