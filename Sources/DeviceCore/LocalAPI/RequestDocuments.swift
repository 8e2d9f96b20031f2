import Foundations

/// A request body: which members it has, so that an unknown one is refused and not ignored.
public protocol RequestDocument: Decodable, Sendable {
  /// Every member name that this document knows.
  static var fieldNames: Set<String> { get }
}

/// The document in `bytes`, or the problem that names what is wrong with it.
public func decodeRequest<Document: RequestDocument>(_ type: Document.Type, from bytes: [UInt8], limits: APILimits) throws(Problem) -> Document {
  let outline: JSONOutline
  switch scanJSON(bytes, maximumDepth: limits.jsonMaximumDepth) {
  case .success(let scanned): outline = scanned
  case .failure(let error): throw .bodyInvalid(error.code, error.detail, field: error.field)
  }
  guard let names = outline.memberNames else { throw .bodyInvalid("field-type", "The body must be a JSON object.") }
  for name in names where !Document.fieldNames.contains(name) {
    throw .bodyInvalid(
      "field-unknown", "The field \(name.prefix(64)) is not known here; known: \(Document.fieldNames.sorted().joined(separator: ", ")).",
      field: String(name.prefix(64)))
  }
  do {
    return try outline.decode(type)
  } catch let DecodingError.keyNotFound(key, _) {
    throw .bodyInvalid("field-missing", "The field \(key.stringValue) is missing.", field: key.stringValue)
  } catch let DecodingError.typeMismatch(_, context) {
    throw wrongType(context)
  } catch let DecodingError.valueNotFound(_, context) {
    throw wrongType(context)
  } catch let DecodingError.dataCorrupted(context) {
    throw wrongType(context)
  } catch {
    throw .bodyInvalid("json-invalid", "The body cannot be decoded.")
  }
}

private func wrongType(_ context: DecodingError.Context) -> Problem {
  let path = context.codingPath.map(\.stringValue).joined(separator: ".")
  return .bodyInvalid("field-type", path.isEmpty ? "The body has the wrong type." : "The field \(path) has the wrong type.", field: path)
}

/// JSON text of `document`: members sorted by name, `/` not escaped.
///
/// - Throws: `EncodingError`, where a number is not finite.
public func encodeJSON(_ document: some Encodable) throws -> [UInt8] { try jsonText(document) }
