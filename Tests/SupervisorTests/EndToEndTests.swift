import Crypto
import Foundations
import Glibc
import Identity
import Testing

/// The real executable on the virtual board of this host: real processes, a real sandbox, real signals.
@Suite("haechid on this host", .serialized)
struct EndToEndTests {
  @Test("killed and frozen runtimes come back as other processes; SIGTERM ends it in order")
  func restarts() async throws {
    let device = try RunningDevice()
    var process = try await device.runtime(start: 1, cause: "boot")
    try await device.waitForLog("runtime \(process) serves")
    // What a worker, a real child, found out.
    try await device.waitForLog("root of trust: none")
    kill(process, SIGKILL)
    var next = try await device.runtime(start: 2, cause: "ended")
    #expect(next != process)
    try await device.waitForLog("runtime \(process) was ended by signal 9")

    process = next
    try await device.waitForLog("runtime \(process) serves")
    kill(process, SIGSTOP)
    try await device.waitForLog("runtime \(process) is killed: no heartbeat for 5 s")
    next = try await device.runtime(start: 3, cause: "hung")
    #expect(next != process)
    try await device.waitForLog("runtime \(next) serves")

    #expect(try await device.stop(SIGTERM) == 0)
    let phases = device.logLines.filter { $0.contains("shutdown ") }
    #expect(phases.count == 8)
    let failed = phases.filter { !$0.contains(": done in ") && !$0.contains(": skipped in ") }
    #expect(failed.isEmpty, "\(device.logLines)")
    #expect(kill(next, 0) != 0, "the runtime outlives its supervisor")
  }

  @Test("a runtime that crashes leaves a record: which signal, and no address")
  func crash() async throws {
    let device = try RunningDevice()
    let process = try await device.runtime(start: 1, cause: "boot")
    try await device.waitForLog("runtime \(process) serves")
    kill(process, SIGSEGV)
    _ = try await device.runtime(start: 2, cause: "ended")
    try await device.waitForLog("crashed by signal 11 at image offset 0x")
    try await device.waitForLog("runtime \(process) was ended by signal 11")
    #expect(try await device.stop(SIGINT) == 0)
  }

  @Test("runtimes in a row that do not settle: three quarantine the device; three more, and the host process ends with the status of a restart")
  func ceiling() async throws {
    let device = try RunningDevice()
    // Six, unless a busy machine gave one of them the time to settle.
    for start in 1...60 {
      guard let process = try await device.runtimeUnlessEnded(start: start, cause: start == 1 ? "boot" : "ended") else { break }
      kill(process, SIGKILL)
    }
    try await device.waitForLog("grade quarantined: crash-loop: 3 runtimes in a row")
    #expect(device.policy.contains("grade quarantined"))
    #expect(try await device.end() == 75)
    try await device.waitForLog("the machine starts anew: 3 runtimes in a row")
    try await device.waitForLog("shutdown outputs-safe: done")
  }

  @Test("a supervisor that is killed takes its runtime with it")
  func killedSupervisor() async throws {
    let device = try RunningDevice()
    let process = try await device.runtime(start: 1, cause: "boot")
    try await device.waitForLog("runtime \(process) serves")
    _ = try await device.stop(SIGKILL)
    for _ in 0..<4_800 {
      guard kill(process, 0) == 0 else { break }
      try await Task.sleep(for: .milliseconds(25))
    }
    #expect(kill(process, 0) != 0)
  }

  /// The runtime is not dumpable, so only root may read its map.
  @Test("two successive runtimes lie elsewhere in memory", .enabled(if: geteuid() == 0, "only root may read the map of a confined process"))
  func layouts() async throws {
    let device = try RunningDevice()
    let first = try await device.runtime(start: 1, cause: "boot")
    try await device.waitForLog("runtime \(first) serves")
    let firstLayout = try layout(of: first)
    kill(first, SIGKILL)
    let second = try await device.runtime(start: 2, cause: "ended")
    try await device.waitForLog("runtime \(second) serves")
    let secondLayout = try layout(of: second)
    let supervisorLayout = try layout(of: device.process)
    for part in ["haechid", "[heap]", "[stack]", "libc.so.6"] {
      let places = [firstLayout[part], secondLayout[part], supervisorLayout[part]].compactMap { $0 }
      #expect(places.count == 3, "\(part) is not in every map")
      #expect(Set(places).count == places.count, "\(part) lies at \(places)")
    }
    #expect(try await device.stop(SIGTERM) == 0)
  }

  @Test(
    "arguments that make no sense get one sentence and status 64",
    arguments: [["--listen", "localhost:1"], ["--listen", "127.0.0.1:70000"], ["--maker-ca", "/nonexistent"], ["--state"], ["x"], ["runtime"]])
  func arguments(list: [String]) async throws {
    let device = try RunningDevice(arguments: list)
    #expect(try await device.end() == 64)
    #expect(device.logLines.count == 1)
    #expect(device.logLines.first?.hasPrefix("haechid: ") == true)
  }

  /// Where each part of a process begins, by the last component of its name.
  private func layout(of process: Int32) throws -> [String: String] {
    let text = try #require(contents("/proc/\(process)/maps"))
    var places: [String: String] = [:]
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ", omittingEmptySubsequences: true)
      guard fields.count >= 6, let name = fields[5].split(separator: "/").last, let begin = fields[0].split(separator: "-").first else { continue }
      if places[String(name)] == nil { places[String(name)] = String(begin) }
    }
    return places
  }
}

/// A haechid with a folder of its own; ended and removed with this object.
final class RunningDevice {
  let process: Int32
  private let folder: String
  private var isReaped = false

  init(arguments: [String]? = nil) throws {
    var own = [CChar](repeating: 0, count: 4_096)
    let length = readlink("/proc/self/exe", &own, own.count)
    try #require(length > 0)
    let test = String(decoding: own.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // The executable stands beside the tests'.
    let program = test.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/haechid"
    var template = Array("/tmp/haechid-test.XXXXXX".utf8CString)
    folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    let list = try arguments ?? ["--listen", "127.0.0.1:0", "--state", folder + "/device", "--maker-ca", Self.makeMaker(in: folder)]
    var argv: [UnsafeMutablePointer<CChar>?] = ([program] + list).map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, folder + "/log", O_CREAT | O_WRONLY | O_APPEND, 0o600)
    var started: pid_t = 0
    try #require(posix_spawn(&started, program, &actions, nil, &argv, environ) == 0, "\(program) cannot be started")
    process = started
  }

  /// A throwaway maker's authority; its file.
  private static func makeMaker(in folder: String) throws -> String {
    let now_s = WallClock(floor_s: 0).now_s()
    let certificate = try MakerAuthorityProfile.make(name: "Test maker", key: try PrivateKey.generateP256(), now_s: now_s).der
    let path = folder + "/maker-ca.der"
    let file = open(path, O_CREAT | O_WRONLY, 0o600)
    defer { close(file) }
    try #require(write(file, certificate, certificate.count) == certificate.count)
    return path
  }

  deinit {
    if !isReaped {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    remove(folder)
  }

  /// The rules that a real board would enforce now.
  var policy: String { contents(folder + "/device/policy") ?? "" }
  var logLines: [String] { (contents(folder + "/log") ?? "").split(separator: "\n").map(String.init) }

  /// Generous: a loaded machine is slow, and nothing is measured here. No thread waits: there are as many as cores for all tests, and what others of them
  /// do in this process would stand still.
  func waitForLog(_ text: String) async throws {
    for _ in 0..<4_800 {
      if logLines.contains(where: { $0.contains(text) }) { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("the log never said \"\(text)\": \(logLines)")
    throw Missing()
  }
  struct Missing: Error {}

  /// The process of that start.
  func runtime(start: Int, cause: String) async throws -> Int32 {
    let end = ", start \(start) (\(cause))"
    try await waitForLog(end)
    let line = try #require(logLines.first { $0.hasSuffix(end) && $0.contains("runtime started as process ") })
    let words = line.dropLast(end.count).split(separator: " ")
    return try #require(words.last.flatMap { Int32($0) })
  }

  /// The same, or nil where the machine starts anew instead.
  func runtimeUnlessEnded(start: Int, cause: String) async throws -> Int32? {
    for _ in 0..<4_800 {
      if logLines.contains(where: { $0.hasSuffix(", start \(start) (\(cause))") }) { return try await runtime(start: start, cause: cause) }
      if logLines.contains(where: { $0.contains("the machine starts anew") }) { return nil }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("neither start \(start) nor an end: \(logLines)")
    throw Missing()
  }

  /// Sends a signal and returns the exit status.
  func stop(_ signal: Int32) async throws -> Int32 {
    kill(process, signal)
    return try await end()
  }

  /// Waits for the end by itself; the exit status, or 128 and the signal.
  func end() async throws -> Int32 {
    var status: CInt = 0
    for _ in 0..<4_800 {
      if waitpid(process, &status, WNOHANG) == process {
        isReaped = true
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
      }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("it does not end: \(logLines)")
    throw Missing()
  }
}

/// A whole text file, or nil.
private func contents(_ path: String) -> String? {
  let file = open(path, O_RDONLY)
  guard file >= 0 else { return nil }
  defer { close(file) }
  var text: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = read(file, &buffer, buffer.count)
    guard count > 0 else { return String(decoding: text, as: UTF8.self) }
    text += buffer.prefix(count)
  }
}

/// Removes a folder and what is in it.
private func remove(_ folder: String) {
  if let entries = opendir(folder) {
    while let entry = readdir(entries) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard name != ".", name != ".." else { continue }
      let path = folder + "/" + name
      if unlink(path) != 0 { remove(path) }
    }
    closedir(entries)
  }
  rmdir(folder)
}
