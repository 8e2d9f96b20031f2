public import Foundations

/// An error answer of the API: RFC 9457 problem details.
///
/// `code` is stable; the `type` member is `urn:haechi:problem:<code>`.
public struct Problem: HaechiError, Sendable, Equatable {
  /// The HTTP status, 400…599.
  public let status: Int
  /// Stable, lower case, words joined by `-`.
  public let code: String
  /// A short summary that is the same for every occurrence of `code`.
  public let title: String
  /// What happened here and what to do about it.
  public let detail: String
  /// The member of the request body or the query parameter that is at fault.
  public let field: String?
  /// After how many seconds it is worth asking again: the answer's Retry-After (RFC 9110 section 10.2.3).
  public let retryAfter_s: Int?

  public init(status: Int, code: String, title: String, detail: String, field: String? = nil, retryAfter_s: Int? = nil) {
    self.status = status
    self.code = code
    self.title = title
    self.detail = detail
    self.field = field
    self.retryAfter_s = retryAfter_s
  }

  public var reason: String { detail }
  public var cause: (any Error)? { nil }

  public static func == (a: Problem, b: Problem) -> Bool {
    a.status == b.status && a.code == b.code && a.title == b.title && a.detail == b.detail && a.field == b.field && a.retryAfter_s == b.retryAfter_s
  }
}

/// The body of an error answer, `application/problem+json` (RFC 9457 section 3.1). `field` is this API's own extension member.
public struct ProblemDocument: Codable, Sendable, Equatable {
  public var type: String
  public var title: String
  public var status: Int
  public var detail: String
  public var instance: String?
  public var field: String?

  /// - Parameter instance: the path of the request.
  public init(_ problem: Problem, instance: String?) {
    type = "urn:haechi:problem:" + problem.code
    title = problem.title
    status = problem.status
    detail = problem.detail
    self.instance = instance
    field = problem.field
  }
}

extension Problem {
  /// 400: the bytes are no request that this server reads; the connection is closed.
  static func malformed(_ detail: String) -> Problem {
    Problem(status: 400, code: "request-malformed", title: "Not a request of HTTP/1.1", detail: detail)
  }
  static func bodyInvalid(_ code: String, _ detail: String, field: String? = nil) -> Problem {
    Problem(status: 400, code: code, title: "The request body is not what this endpoint takes", detail: detail, field: field)
  }
  static func parameterInvalid(_ detail: String, field: String) -> Problem {
    Problem(status: 400, code: "parameter-invalid", title: "A query parameter is not what this endpoint takes", detail: detail, field: field)
  }
  /// 403: the caller is known and may not do this.
  public static func forbidden(_ detail: String) -> Problem {
    Problem(status: 403, code: "forbidden", title: "Your certificate does not allow this", detail: detail)
  }
  /// 403: nobody has pressed the device's button lately.
  public static func presenceNeeded(_ detail: String) -> Problem {
    Problem(status: 403, code: "presence-needed", title: "Somebody must be at the device", detail: detail)
  }
  /// 403: the code was not the label's, or the proof was made over another connection.
  public static func proofWrong(_ detail: String) -> Problem {
    Problem(status: 403, code: "proof-wrong", title: "The proof of the label is wrong", detail: detail)
  }
  public static func notFound(_ detail: String) -> Problem {
    Problem(status: 404, code: "not-found", title: "There is no such resource", detail: detail)
  }
  /// 404 for a name that this device does not have.
  public static func unknownActuator(_ name: String, known: [String]) -> Problem {
    notFound("This device has no actuator \(name); it has: \(known.isEmpty ? "none" : known.joined(separator: ", ")).")
  }
  static func methodNotAllowed(_ method: String, allowed: [String]) -> Problem {
    Problem(
      status: 405, code: "method-not-allowed", title: "The resource does not take this method",
      detail: "\(method) is not offered here; offered: \(allowed.joined(separator: ", ")).")
  }
  static func notAcceptable(_ offered: [String]) -> Problem {
    Problem(
      status: 406, code: "not-acceptable", title: "No offered media type is acceptable to you",
      detail: "This resource is offered as \(offered.joined(separator: " or ")); the Accept field allows none of them.")
  }
  static func timeout(_ what: String, after_ms: Int64) -> Problem {
    Problem(
      status: 408, code: "request-timeout", title: "The request did not arrive in time",
      detail: "The \(what) was not complete after \(after_ms / 1000) s.")
  }
  /// 409: the device is not in a state in which this can be done.
  public static func conflict(_ code: String, _ detail: String) -> Problem {
    Problem(status: 409, code: code, title: "The device's state does not allow this", detail: detail)
  }
  static let lengthRequired = Problem(
    status: 411, code: "length-required", title: "A body needs a Content-Length",
    detail: "Transfer codings are not taken in requests; send the body with a Content-Length (RFC 9112 section 6.3).")
  static func bodyTooLarge(_ maximum_bytes: Int) -> Problem {
    Problem(
      status: 413, code: "body-too-large", title: "The request body is too large",
      detail: "A body may have at most \(maximum_bytes) bytes.")
  }
  static func targetTooLong(_ maximum_bytes: Int) -> Problem {
    Problem(
      status: 414, code: "target-too-long", title: "The request target is too long",
      detail: "A request target may have at most \(maximum_bytes) bytes.")
  }
  static let unsupportedMediaType = Problem(
    status: 415, code: "media-type-unsupported", title: "The request body has the wrong media type",
    detail: "Send the body as Content-Type: application/json, without a content coding.")
  static let expectationFailed = Problem(
    status: 417, code: "expectation-failed", title: "The expectation cannot be met", detail: "The only expectation served is 100-continue.")
  /// 422: well formed, and not acceptable in its meaning (a certificate that does not fit, for example).
  public static func unprocessable(_ code: String, _ detail: String, field: String) -> Problem {
    Problem(status: 422, code: code, title: "The request cannot be carried out as it stands", detail: detail, field: field)
  }
  /// 429: come back in a second.
  public static func tooManyRequests(_ detail: String) -> Problem {
    Problem(status: 429, code: "too-many-requests", title: "Too many requests", detail: detail)
  }
  /// 429: after wrong proofs of the label.
  public static func lockedOut(_ detail: String, retryAfter_s: Int) -> Problem {
    Problem(status: 429, code: "locked-out", title: "Too many wrong proofs", detail: detail, retryAfter_s: retryAfter_s)
  }
  static func headTooLarge(_ detail: String) -> Problem {
    Problem(status: 431, code: "head-too-large", title: "The request line and fields are too large", detail: detail)
  }
  /// 503: the device was wiped and goes down; what would be changed now would not be there afterwards.
  public static var restarting: Problem {
    Problem(
      status: 503, code: "restarting", title: "The device restarts", detail: "The device was wiped, and restarts; try again in a moment.", retryAfter_s: 10)
  }
  /// 507 (RFC 4918 section 11.5) where the storage is full, else 503: what was sent cannot be kept.
  public static func storage(isFull: Bool, code: String, _ detail: String) -> Problem {
    Problem(
      status: isFull ? 507 : 503, code: code, title: isFull ? "The device's storage is full" : "The device's storage cannot be written", detail: detail)
  }
  /// 503: for now only; the log tells more.
  public static func unavailable(_ detail: String) -> Problem {
    Problem(status: 503, code: "unavailable", title: "The device cannot do this now", detail: detail)
  }
}
