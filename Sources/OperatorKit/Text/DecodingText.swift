/// What is wrong with a JSON text, as one phrase that names the field: `field devices[0].address is missing`.
func explain(decoding error: any Error) -> String {
  guard let error = error as? DecodingError else { return "it could not be read" }
  func field(_ path: [any CodingKey], _ last: (any CodingKey)? = nil) -> String {
    var text = ""
    for key in path + (last.map { [$0] } ?? []) {
      if let index = key.intValue {
        text += "[\(index)]"
      } else {
        text += text.isEmpty ? key.stringValue : "." + key.stringValue
      }
    }
    return text.isEmpty ? "the whole text" : "field '\(printable(text))'"
  }
  switch error {
  case .keyNotFound(let key, let context): return "\(field(context.codingPath, key)) is missing"
  case .valueNotFound(_, let context): return "\(field(context.codingPath)) is null"
  case .typeMismatch(let type, let context): return "\(field(context.codingPath)) is not of the type \(type)"
  case .dataCorrupted(let context):
    return context.codingPath.isEmpty ? "it is not JSON" : "\(field(context.codingPath)) has a value that cannot be"
  @unknown default: return "it could not be read"
  }
}
