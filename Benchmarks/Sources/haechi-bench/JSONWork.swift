import Glibc
import LocalAPI

/// Encodes and decodes what the API does most, each for `seconds`, and prints a line for each: name, operations, nanoseconds on a processor.
func measureJSON(seconds: Double) throws {
  try repeatFor(seconds, "encode") { _ = try encodeJSON(BenchDevice.info) }
  let body = Array(#"{"on":true}"#.utf8)
  let limits = APILimits()
  try repeatFor(seconds, "decode") { _ = try decodeRequest(ActuatorRequest.self, from: body, limits: limits) }
}

private func repeatFor(_ seconds: Double, _ name: String, _ work: () throws -> Void) throws {
  let start_ns = processorTime_ns()
  var operations = 0
  var taken_ns: Int64 = 0
  while Double(taken_ns) < seconds * 1e9 {
    for _ in 0..<100 { try work() }
    operations += 100
    taken_ns = processorTime_ns() - start_ns
  }
  say("\(name) \(operations) \(taken_ns)")
}

/// The process's time on a processor: others on the same machine do not count.
private func processorTime_ns() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
