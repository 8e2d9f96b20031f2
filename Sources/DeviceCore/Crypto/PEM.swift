internal import COpenSSL

/// `der` between PEM lines (RFC 7468), 64 characters a line.
func pemText(_ der: [UInt8], label: String) -> String {
  var encoded = [UInt8](repeating: 0, count: (der.count + 2) / 3 * 4 + 1)
  let count = Int(EVP_EncodeBlock(&encoded, der, CInt(der.count)))
  var text = "-----BEGIN \(label)-----\n"
  for start in stride(from: 0, to: count, by: 64) {
    text += String(decoding: encoded[start..<min(start + 64, count)], as: UTF8.self) + "\n"
  }
  return text + "-----END \(label)-----\n"
}

/// The contents of the PEM blocks of `text` (RFC 7468): at most `maximumCount`, every one with `label`, blank lines between them allowed
/// and nothing else. A total function over text of at most 32 KiB for each block.
///
/// - Throws: `malformed-input`, `too-large`.
func pemBlocks(_ text: String, label: String, maximumCount: Int) throws(CryptoError) -> [[UInt8]] {
  guard text.utf8.count <= maximumCount * 32_768 else {
    throw CryptoError(code: "too-large", reason: "a PEM text of \(maximumCount) blocks has at most \(maximumCount * 32_768) bytes")
  }
  var blocks: [[UInt8]] = []
  var body: [UInt8]?
  for line in text.utf8.split(whereSeparator: { $0 == 10 || $0 == 13 }) {
    let line = trimmed(line)
    if let collected = body {
      if line.elementsEqual("-----END \(label)-----".utf8) {
        guard let block = base64(collected) else { throw CryptoError(code: "malformed-input", reason: "a PEM block of \(label) is not base64") }
        blocks.append(block)
        body = nil
      } else {
        body = collected + line
      }
    } else if line.elementsEqual("-----BEGIN \(label)-----".utf8) {
      guard blocks.count < maximumCount else {
        throw CryptoError(code: "malformed-input", reason: "the PEM text holds more than \(maximumCount) blocks of \(label)")
      }
      body = []
    } else if !line.isEmpty {
      throw CryptoError(code: "malformed-input", reason: "the PEM text holds something else than \(label)")
    }
  }
  guard body == nil else { throw CryptoError(code: "malformed-input", reason: "the PEM block of \(label) has no end") }
  return blocks
}

private func trimmed(_ line: Substring.UTF8View) -> Substring.UTF8View {
  let isSpace = { (byte: UInt8) in byte == 32 || byte == 9 }
  guard let first = line.firstIndex(where: { !isSpace($0) }), let last = line.lastIndex(where: { !isSpace($0) }) else { return line[line.endIndex...] }
  return line[first...last]
}

/// Standard base64 (RFC 4648 section 4) with its padding, canonical; nil for anything else.
private func base64(_ text: [UInt8]) -> [UInt8]? {
  guard !text.isEmpty, text.count % 4 == 0 else { return nil }
  let padding = text.suffix(2).reversed().prefix { $0 == UInt8(ascii: "=") }.count
  var result: [UInt8] = []
  result.reserveCapacity(text.count / 4 * 3)
  var accumulator: UInt32 = 0
  for (index, character) in text.enumerated() {
    let value: UInt8
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - 48 + 52
    case UInt8(ascii: "+"): value = 62
    case UInt8(ascii: "/"): value = 63
    case UInt8(ascii: "=") where index >= text.count - padding: value = 0
    default: return nil
    }
    accumulator = accumulator << 6 | UInt32(value)
    if index % 4 == 3 {
      result += [UInt8(accumulator >> 16 & 255), UInt8(accumulator >> 8 & 255), UInt8(accumulator & 255)]
      accumulator = 0
    }
  }
  guard result.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
  result.removeLast(padding)
  return result
}
