import Dispatch
import Glibc
import Testing

@testable import LinuxProcess

/// Real processes in the real sandbox, by the kernel that runs this test.
@Suite("The sandbox, tried from inside")
struct SandboxTests {
  @Test("event loops, sockets, tasks, timers and files work in it")
  func work() async throws { #expect(try await probe("work") == .exited(code: 0)) }

  @Test("libmosquitto connects, and the C library's resolver asks, in it")
  func mqtt() async throws { #expect(try await probe("mqtt") == .exited(code: 0)) }

  @Test("a vault is kept in it")
  func vault() async throws { #expect(try await probe("vault") == .exited(code: 0)) }

  @Test("what is refused with an error", arguments: ["files", "other-process", "port", "limits", "socket-pair"])
  func refused(what: String) async throws { #expect(try await probe(what) == .exited(code: 0)) }

  @Test(
    "what ends the process with SIGSYS",
    arguments: ["execute", "fork", "signal", "netlink", "raw-socket", "code", "code-later", "user", "device-node"])
  func killed(what: String) async throws { #expect(try await probe(what) == .killed(signal: SIGSYS)) }

  @Test("a worker keeps no right, or the network's alone", arguments: ["worker", "worker-network", "worker-storage"])
  func workers(what: String) async throws { #expect(try await probe(what) == .exited(code: 0)) }

  /// Starts `sandbox-probe`, which stands beside this test's own executable, and waits for its end.
  private func probe(_ what: String) async throws -> ProcessEnd {
    var own = [CChar](repeating: 0, count: 4_096)
    let length = readlink("/proc/self/exe", &own, own.count)
    try #require(length > 0)
    let path = String(decoding: own.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let program = path.prefix { _ in true }.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/sandbox-probe"
    var template = Array("/tmp/haechi-probe.XXXXXX".utf8CString)
    let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { rmdir(folder) }

    let port = UInt16.random(in: 20_000..<30_000)
    // On a thread that may wait: the tests' own must not, since what others of them do in this process would stand still. And on one for both, as a
    // sandboxed process ends with the thread that started it.
    let status = await withCheckedContinuation { (done: CheckedContinuation<CInt?, Never>) in
      DispatchQueue.global().async { done.resume(returning: Self.run([program, what, folder, String(port)])) }
    }
    let ended = try #require(status, "\(program) cannot be started")
    return ended & 0x7f == 0 ? .exited(code: ended >> 8 & 0xff) : .killed(signal: ended & 0x7f)
  }

  /// Runs a program to its end; what waitpid(2) says of it, or nil where it cannot be started.
  private static func run(_ words: [String]) -> CInt? {
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    guard posix_spawn(&process, words[0], nil, nil, &arguments, environ) == 0 else { return nil }
    var status: CInt = 0
    while waitpid(process, &status, 0) < 0 { guard errno == EINTR else { return nil } }
    return status
  }
}
