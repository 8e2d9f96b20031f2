internal import Glibc

/// The operating system's own words for `number`, an `errno` value.
public func systemErrorMessage(_ number: CInt) -> String {
  // strerror_r is the thread-safe one; 128 bytes hold every message of glibc.
  var text = [CChar](repeating: 0, count: 128)
  guard strerror_r(number, &text, text.count) == 0 || text[0] != 0 else { return "error \(number)" }
  return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
