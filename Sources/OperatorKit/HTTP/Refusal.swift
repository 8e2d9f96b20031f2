internal import FoundationEssentials
internal import Glibc

/// `ECONNREFUSED` of this system.
let connectionRefused: CInt = ECONNREFUSED

/// What a device's answer that is no success means, in one sentence with what to do.
func refusal(_ answer: DeviceResponse, of request: DeviceRequest, by endpoint: Endpoint) -> OperatorError {
  if (200..<300).contains(answer.status) {
    return OperatorError(
      "bad-answer",
      "\(endpoint) answered \(request.description) with '\(printable(answer.mediaType))' where \(request.wantsEvents ? "text/event-stream" : "application/json") was asked for"
    )
  }
  let problem =
    answer.mediaType == "application/problem+json" ? try? JSONDecoder().decode(ProblemDetails.self, from: Data(answer.body)) : nil
  let told = (problem?.detail ?? problem?.title).map { printable($0.prefix(400)) }
  let code = problem?.code.map { " \(printable($0.prefix(60)))" } ?? ""
  var sentence = "\(endpoint) refused \(request.description) (\(answer.status)\(code)): \(told ?? "no reason given")"
  while sentence.hasSuffix(".") { sentence.removeLast() }
  switch answer.status {
  case _ where problem?.code == staleStatement: sentence += "; its grade changed meanwhile: try again"
  case 401, 403: sentence += "; see who you are with: haechi member list, and the device's state with: haechi info"
  case 404 where told == nil: sentence += "; the device has nothing of that name"
  case 409: sentence += "; see the device's state with: haechi info"
  case 429, 503: sentence += "; try again shortly"
  default: break
  }
  return OperatorError("refused-by-device", sentence, refusal: .init(status: answer.status, problem: problem?.code))
}

/// The problem of a statement that repeats another event or nonce than the device's newest.
let staleStatement = "statement-stale"

/// Reads the JSON of a successful answer.
///
/// - Throws: `refused-by-device` for an answer that is no success; `bad-answer` where the JSON is not what the API documents.
func decode<Value: Decodable>(_ type: Value.Type, _ answer: DeviceResponse, of request: DeviceRequest, by endpoint: Endpoint)
  throws(OperatorError) -> Value
{
  guard (200..<300).contains(answer.status), answer.mediaType == "application/json" else {
    throw refusal(answer, of: request, by: endpoint)
  }
  do {
    return try JSONDecoder().decode(type, from: Data(answer.body))
  } catch {
    throw OperatorError(
      "bad-answer",
      "what \(endpoint) answered to \(request.description) is not what this haechi knows: \(explain(decoding: error)); one of the two may be of another version"
    )
  }
}

/// `value` as one line of JSON for a request's body.
func encode(_ value: some Encodable) throws(OperatorError) -> [UInt8] {
  do {
    return Array(try JSONEncoder().encode(value))
  } catch {
    throw OperatorError("bad-argument", "a value could not be written as JSON", cause: error)
  }
}
