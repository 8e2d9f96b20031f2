import FoundationEssentials

/// Any JSON value, for tests that look at documents from outside.
enum JSONValue: Decodable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }

  init(_ bytes: [UInt8]) throws { self = try JSONDecoder().decode(JSONValue.self, from: Data(bytes)) }

  subscript(_ name: String) -> JSONValue? {
    if case .object(let members) = self { return members[name] }
    return nil
  }
  var members: [String: JSONValue] {
    if case .object(let members) = self { return members }
    return [:]
  }
  var elements: [JSONValue] {
    if case .array(let elements) = self { return elements }
    return []
  }
  var text: String? {
    if case .string(let text) = self { return text }
    return nil
  }
  var integerValue: Int? {
    if case .integer(let value) = self { return value }
    return nil
  }

  /// JSON text, to feed an example to a decoder.
  var encoded: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value):
      "\"" + value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n") + "\""
    case .array(let elements): "[" + elements.map(\.encoded).joined(separator: ",") + "]"
    case .object(let members): "{" + members.map { "\"\($0.key)\":\($0.value.encoded)" }.joined(separator: ",") + "}"
    }
  }
}

/// Checks values against the part of JSON Schema that docs/openapi.json uses. A keyword that it does not know is an error, so that
/// nothing in the file goes unchecked.
struct SchemaChecker {
  let document: JSONValue
  private static let annotations: Set<String> = ["description"]

  /// What is wrong with `value`, with its place; empty where it fits.
  func faults(_ value: JSONValue, _ schema: JSONValue, at place: String = "$") -> [String] {
    if let reference = schema["$ref"]?.text {
      guard let target = resolve(reference) else { return ["\(place): \(reference) leads nowhere"] }
      return faults(value, target, at: place)
    }
    var found: [String] = []
    for (keyword, argument) in schema.members where !Self.annotations.contains(keyword) {
      found += check(value, keyword, argument, schema, place)
    }
    return found
  }

  func resolve(_ reference: String) -> JSONValue? {
    guard reference.hasPrefix("#/") else { return nil }
    return reference.dropFirst(2).split(separator: "/").reduce(document) { (value: JSONValue?, name) in value?[String(name)] }
  }

  private func check(_ value: JSONValue, _ keyword: String, _ argument: JSONValue, _ schema: JSONValue, _ place: String) -> [String] {
    switch keyword {
    case "type": return hasType(value, argument.text ?? "") ? [] : ["\(place): not of type \(argument.encoded)"]
    case "enum": return argument.elements.contains(value) ? [] : ["\(place): \(value.encoded) is none of \(argument.encoded)"]
    case "required":
      return argument.elements.compactMap(\.text).filter { value[$0] == nil }.map { "\(place): \($0) is missing" }
    case "properties":
      return value.members.flatMap { name, member in argument[name].map { faults(member, $0, at: "\(place).\(name)") } ?? [] }
    case "additionalProperties":
      guard argument == .bool(false) else { return ["\(place): additionalProperties is not false"] }
      return value.members.keys.filter { schema["properties"]?[$0] == nil }.map { "\(place): \($0) is not described" }
    case "items": return value.elements.enumerated().flatMap { faults($1, argument, at: "\(place)[\($0)]") }
    case "minimum": return number(value) >= number(argument) ? [] : ["\(place): below the minimum"]
    case "maximum": return number(value) <= number(argument) ? [] : ["\(place): above the maximum"]
    case "minLength": return (value.text?.unicodeScalars.count ?? 0) >= (argument.integerValue ?? .max) ? [] : ["\(place): too short"]
    case "maxLength": return (value.text?.unicodeScalars.count ?? 0) <= (argument.integerValue ?? 0) ? [] : ["\(place): too long"]
    case "pattern":
      guard let text = value.text, let pattern = argument.text, let regex = try? Regex(pattern) else { return ["\(place): no pattern"] }
      return text.firstMatch(of: regex) == nil ? ["\(place): \(text) does not fit \(pattern)"] : []
    default: return ["\(place): the keyword \(keyword) is not known to the checker"]
    }
  }

  private func number(_ value: JSONValue) -> Double {
    switch value {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: .nan
    }
  }

  private func hasType(_ value: JSONValue, _ type: String) -> Bool {
    switch (value, type) {
    case (.bool, "boolean"), (.integer, "integer"), (.integer, "number"), (.number, "number"), (.string, "string"), (.array, "array"), (.object, "object"): true
    default: false
    }
  }
}
