/// The media types that the API offers and takes.
public enum MediaType: String, Sendable {
  case json = "application/json"
  case eventStream = "text/event-stream"
  case problem = "application/problem+json"
}

/// The offered type that an Accept field prefers (RFC 9110 section 12.5.1), or nil where it allows none.
///
/// The most specific range that fits a type decides its weight; among equal weights the first offered wins.
/// - Parameter values: the Accept fields as they came; none means that everything is welcome.
func negotiate(_ values: [String], offered: [MediaType]) -> MediaType? {
  // What clients of the API send: one of its types, as it stands.
  if values.count == 1, let asked = offered.first(where: { $0.rawValue == values[0] }) { return asked }
  let ranges = values.flatMap { $0.split(separator: ",") }.map(MediaRange.init)
  guard !ranges.isEmpty else { return offered.first }
  var best: (type: MediaType, weight: Int)?
  for type in offered {
    let fitting = ranges.filter { $0.specificity(for: type) > 0 }
    guard let weight = fitting.max(by: { $0.specificity(for: type) < $1.specificity(for: type) })?.weight, weight > 0 else { continue }
    if weight > best?.weight ?? 0 { best = (type, weight) }
  }
  return best?.type
}

private struct MediaRange {
  let type: String
  /// 0…1000: the q parameter in thousandths.
  let weight: Int

  init(_ text: Substring) {
    let parts = text.split(separator: ";").map { trimmed($0).lowercased() }
    type = parts.first ?? ""
    weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { thousandths($0.dropFirst(2)) } ?? 1000
  }

  func specificity(for offered: MediaType) -> Int {
    if type == offered.rawValue { return 3 }
    guard let slash = offered.rawValue.firstIndex(of: "/") else { return 0 }
    if type == offered.rawValue[...slash] + "*" { return 2 }
    return type == "*/*" ? 1 : 0
  }
}

/// A qvalue (RFC 9110 section 12.4.2); what is none counts as 0, so that it never widens what a client accepts.
private func thousandths(_ text: Substring) -> Int {
  let parts = text.split(separator: ".", omittingEmptySubsequences: false)
  guard (1...2).contains(parts.count), let whole = Int(parts[0]), (0...1).contains(whole), parts[0].utf8.count == 1 else { return 0 }
  let fraction = parts.count == 2 ? parts[1] : ""
  guard fraction.utf8.count <= 3, fraction.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return 0 }
  return min(1000, whole * 1000 + (Int(fraction + String(repeating: "0", count: 3 - fraction.utf8.count)) ?? 0))
}

/// True where a Content-Type field says `application/json`, alone or with charset=utf-8.
func isJSON(contentType values: [String]) -> Bool {
  guard values.count == 1, let value = values.first else { return false }
  let parts = value.split(separator: ";", omittingEmptySubsequences: false).map { trimmed($0).lowercased() }
  guard parts.first == MediaType.json.rawValue, parts.count <= 2 else { return false }
  return parts.count == 1 || parts[1] == "charset=utf-8" || parts[1] == "charset=\"utf-8\""
}
