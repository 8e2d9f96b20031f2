import FoundationEssentials
import OperatorKit

/// `value` as JSON on one line, its keys in order, so that two runs compare.
func jsonLine(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Prints `value` as JSON or `lines` for people.
func show(_ value: some Encodable, json: Bool, _ lines: @autoclosure () -> [String]) throws {
  if json {
    Terminal.standardOutput.line(try jsonLine(value))
  } else {
    for line in lines() { Terminal.standardOutput.line(line) }
  }
}

/// What the surroundings of the process say.
enum Environment {
  static var all: [String: String] { ProcessInfo.processInfo.environment }
}
