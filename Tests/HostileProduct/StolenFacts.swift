import Foundations

/// What a runtime that was taken over knows: it has seen all that went through it.
///
/// The tests hand it over in a file `stolen` of the runtime's state folder, because Swift keeps one module's memory from another: lines of
/// `key=value`, with `device`, `event`, `nonce`, `certificate` (an admin's, DER), and of a release that the owner once signed `old-event`,
/// `old-nonce`, `old-signature`; and `attempt`, where the button is to try that one and not the next. Values are hexadecimal but for the events and `attempt`. What is missing is zeros.
struct StolenFacts {
  let device: String
  let event: UInt64
  let nonce: [UInt8]
  let certificate: [UInt8]
  let oldEvent: UInt64
  let oldNonce: [UInt8]
  let oldSignature: [UInt8]
  let attempt: Int?

  static func read() -> StolenFacts {
    // The state folder is one of the arguments that the supervisor gave.
    for argument in CommandLine.arguments where argument.hasPrefix("/") {
      if let content = try? AtomicFile.readSmall(argument + "/stolen", maximum_bytes: 8 * 1024) {
        return StolenFacts(text: String(decoding: content, as: UTF8.self))
      }
    }
    return StolenFacts(text: "")
  }

  private init(text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    func octets(_ key: Substring, or count: Int) -> [UInt8] {
      values[key].flatMap { bytes(hexadecimal: $0) } ?? [UInt8](repeating: 0, count: count)
    }
    device = values["device"].map(String.init) ?? String(repeating: "0", count: 20)
    event = values["event"].flatMap { UInt64($0) } ?? 0
    nonce = octets("nonce", or: 32)
    certificate = octets("certificate", or: 1)
    oldEvent = values["old-event"].flatMap { UInt64($0) } ?? 0
    oldNonce = octets("old-nonce", or: 32)
    oldSignature = octets("old-signature", or: 64)
    attempt = values["attempt"].flatMap { Int($0) }
  }
}
