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
  let start_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID)
  var operations = 0
  var taken_ns: Int64 = 0
  while Double(taken_ns) < seconds * 1e9 {
    for _ in 0..<100 { try work() }
    operations += 100
    taken_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start_ns
  }
  say("\(name) \(operations) \(taken_ns)")
}

/// A clock of the system, nanoseconds. The process's time on a processor is `CLOCK_PROCESS_CPUTIME_ID`: others on the same machine do not count.
func clock_ns(_ clock: clockid_t) -> Int64 {
  var time = timespec()
  clock_gettime(clock, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
