import Foundations
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import LocalAPI

/// An answer as it came over the wire.
struct WireAnswer {
  let status: Int
  let fields: [(name: String, value: String)]
  let body: [UInt8]

  subscript(_ name: String) -> String? { fields.first { $0.name.lowercased() == name.lowercased() }?.value }
  var text: String { String(decoding: body, as: UTF8.self) }
  var closes: Bool { self["connection"] == "close" }
}

/// One connection to an API in memory: bytes in, bytes out.
final class Wire {
  let channel: NIOAsyncTestingChannel
  let device: FakeDevice
  private let decision: NIOLockedValueBox<CallerDecision>
  private(set) var received: [UInt8] = []
  private var asksForHead = false

  init(_ role: CallerRole? = .admin, device: FakeDevice = FakeDevice(), limits: APILimits = APILimits()) async throws {
    self.device = device
    let decision = NIOLockedValueBox(role.map(Self.decision) ?? .refused(reason: "Your certificate has expired."))
    self.decision = decision
    channel = NIOAsyncTestingChannel()
    let server = APIServer(service: device, limits: limits)
    let channel = channel
    try await channel.testingEventLoop.executeInContext {
      try server.configure(channel, connection: 7, binding: { [UInt8](repeating: 9, count: 32) }) { decision.withLockedValue { $0 } }
    }
    try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
  }

  private static func decision(_ role: CallerRole) -> CallerDecision {
    if role == .peer, let peer = DeviceIdentifier("aabbccddeeff00112233") { return .peer(peer) }
    return .allowed(role, name: "\(role) kim")
  }

  func decide(_ new: CallerDecision) { decision.withLockedValue { $0 = new } }

  /// Sends bytes as one read of the socket.
  func send(_ bytes: [UInt8]) async throws {
    guard channel.isActive else { return }
    try await channel.writeInbound(ByteBuffer(bytes: bytes))
  }
  func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  /// What was sent to the peer since the last call, added to `received`.
  func drain() async throws {
    while var buffer = try await channel.readOutbound(as: ByteBuffer.self) {
      received += buffer.readBytes(length: buffer.readableBytes) ?? []
    }
  }

  /// The next answer, awaited over a bounded number of turns; nil where none came.
  func answer() async throws -> WireAnswer? {
    for _ in 0..<600_000 {
      // Asked before the bytes are taken: what a channel sent before it closed is still there.
      let isActive = channel.isActive
      try await drain()
      if let (answer, length) = parseAnswer(received, isHead: asksForHead) {
        received.removeFirst(length)
        if asksForHead { #expect(received.isEmpty, "the answer to HEAD has a body") }
        return answer
      }
      if !isActive { return nil }
      await channel.testingEventLoop.run()
      try await Task.sleep(for: .microseconds(200))
    }
    return nil
  }

  func ask(_ text: String) async throws -> WireAnswer {
    try await send(text)
    return try #require(try await answer())
  }

  func request(_ method: String, _ target: String, _ fields: [String] = [], body: String? = nil) async throws -> WireAnswer {
    asksForHead = method == "HEAD"
    let all = ["Host: haechi"] + fields + (body.map { ["Content-Type: application/json", "Content-Length: \($0.utf8.count)"] } ?? [])
    return try await ask("\(method) \(target) HTTP/1.1\r\n" + all.map { $0 + "\r\n" }.joined() + "\r\n" + (body ?? ""))
  }

  func advance(_ milliseconds: Int64) async { await channel.testingEventLoop.advanceTime(by: .milliseconds(milliseconds)) }
}

/// One whole answer with a Content-Length, or the head of one that is a stream.
func parseAnswer(_ bytes: [UInt8], isHead: Bool) -> (WireAnswer, Int)? {
  guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: Array("\r\n\r\n".utf8)) }) else { return nil }
  let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
  guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
  let fields = lines.dropFirst().map { line in
    let parts = line.split(separator: ":", maxSplits: 1)
    return (name: String(parts[0]), value: parts.count > 1 ? trimmed(parts[1]) : "")
  }
  let length = isHead ? 0 : fields.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
  guard bytes.count >= end + 4 + length else { return nil }
  return (WireAnswer(status: status, fields: fields, body: Array(bytes[(end + 4)..<(end + 4 + length)])), end + 4 + length)
}
