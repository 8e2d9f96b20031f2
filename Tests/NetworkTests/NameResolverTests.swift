import Foundation
import Foundations
import Glibc
import Synchronization
import Testing

@testable import Network

/// A name server on loopback that knows what the test tells it.
private final class Responder: Sendable {
  let port: UInt16
  private let descriptor: CInt
  private let asked = Mutex<[(name: String, type: UInt16)]>([])
  /// What it was asked, in order; one that was asked again, because its answer took long on a busy machine, once.
  var questions: [String] {
    asked.withLock { $0.map { "\($0.name)/\($0.type)" } }.reduce(into: []) { questions, next in if questions.last != next { questions.append(next) } }
  }

  /// - Parameter answer: the whole answer to a query and the question in it, nil for silence.
  init(_ answer: @escaping @Sendable (_ query: [UInt8], _ name: String, _ type: UInt16) -> [UInt8]?) throws {
    let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
    self.descriptor = descriptor
    let loopback: [UInt8] = [UInt8(AF_INET), 0, 0, 0, 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
    var name = [UInt8](repeating: 0, count: 16)
    var size = socklen_t(16)
    let isBound = loopback.withUnsafeBytes { $0.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, 16) } } == 0
    let isNamed = name.withUnsafeMutableBytes { $0.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress!, &size) } } == 0
    try #require(isBound && isNamed)
    port = UInt16(name[2]) << 8 | UInt16(name[3])
    // A thread of its own: the resolver blocks those that tasks run on.
    Thread.detachNewThread { [weak self] in
      while let self {
        var query = [UInt8](repeating: 0, count: 512)
        var sender = [UInt8](repeating: 0, count: 16)
        var size = socklen_t(16)
        let count = sender.withUnsafeMutableBytes { sender in
          sender.withMemoryRebound(to: sockaddr.self) { recvfrom(descriptor, &query, query.count, CInt(MSG_DONTWAIT), $0.baseAddress, &size) }
        }
        guard count > 12 else {
          usleep(2_000)
          continue
        }
        query.removeSubrange(count...)
        let (name, type) = readQuestion(query)
        self.asked.withLock { $0.append((name, type)) }
        guard let bytes = answer(query, name, type) else { continue }
        _ = sender.withUnsafeBytes { $0.withMemoryRebound(to: sockaddr.self) { sendto(descriptor, bytes, bytes.count, 0, $0.baseAddress, 16) } }
      }
    }
  }

  deinit { close(descriptor) }

  var resolver: NameResolver { NameResolver(servers: [(0x7f00_0001, port)]) }
}

private func readQuestion(_ query: [UInt8]) -> (String, UInt16) {
  var labels: [String] = []
  var index = 12
  while index < query.count, query[index] > 0 {
    labels.append(String(decoding: query[(index + 1)..<min(query.count, index + 1 + Int(query[index]))], as: UTF8.self))
    index += 1 + Int(query[index])
  }
  return (labels.joined(separator: "."), index + 2 < query.count ? UInt16(query[index + 1]) << 8 | UInt16(query[index + 2]) : 0)
}

/// An answer (RFC 1035 section 4.1) with records of the question's name; each is its type and data.
private func reply(_ query: [UInt8], code: UInt8 = 0, flags: UInt8 = 0x81, _ records: [(type: UInt16, data: [UInt8])] = []) -> [UInt8] {
  var bytes = Array(query.prefix(2)) + [flags, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0] + query.dropFirst(12)
  for record in records {
    // The name by a pointer to the question, class IN, a minute.
    bytes += [0xc0, 12, UInt8(record.type >> 8), UInt8(record.type & 0xff), 0, 1, 0, 0, 0, 60, UInt8(record.data.count >> 8), UInt8(record.data.count & 0xff)]
    bytes += record.data
  }
  return bytes
}

@Suite("Names") struct NameResolverTests {
  private let six: [UInt8] = [0xfd] + [UInt8](repeating: 0, count: 14) + [7]

  @Test("both kinds of addresses are found, by turns, and no suffix is added") func addresses() throws {
    let six = six
    let responder = try Responder { query, _, type in
      type == 1 ? reply(query, [(1, [10, 0, 0, 1]), (1, [10, 0, 0, 2])]) : reply(query, [(28, six)])
    }
    #expect(try responder.resolver.addresses(of: "broker").map(\.description) == ["10.0.0.1", "fd00::7", "10.0.0.2"])
    #expect(responder.questions == ["broker/1", "broker/28"])
  }

  @Test("what no host can have is left out, as are doubles and all beyond four") func unusable() throws {
    let responder = try Responder { query, _, type in
      guard type == 1 else { return reply(query) }
      // The alias before them is passed over.
      return reply(
        query,
        [
          (5, [0xc0, 12]), (1, [127, 0, 0, 1]), (1, [0, 0, 0, 0]), (1, [224, 0, 0, 1]), (1, [255, 255, 255, 255]), (1, [10, 1, 1, 1]), (1, [10, 1, 1, 1]),
          (1, [10, 1, 1, 2]),
        ]
          + (3...9).map { (1, [10, 1, 1, $0]) })
    }
    let found = try responder.resolver.addresses(of: "broker.example")
    #expect(found.allSatisfy { $0.isUnicastHost } && found.count <= 4 && Set(found).count == found.count && !found.isEmpty)
    let only = try Responder { query, _, type in reply(query, type == 1 ? [(1, [127, 0, 0, 1])] : []) }
    #expect(throws: ResolverError.self) { try only.resolver.addresses(of: "inside.example") }
  }

  @Test("each way of not answering has its own code") func failures() throws {
    func code(_ answer: @escaping @Sendable ([UInt8], String, UInt16) -> [UInt8]?) throws -> String? {
      let responder = try Responder(answer)
      return withExtendedLifetime(responder) {
        do throws(ResolverError) {
          _ = try responder.resolver.addresses(of: "broker.example")
          return nil
        } catch { return error.code }
      }
    }
    #expect(try code { query, _, _ in reply(query, code: 3) } == "name-not-found")
    #expect(try code { query, _, _ in reply(query) } == "name-not-found")
    #expect(try code { query, _, type in type == 1 ? reply(query, [(1, [1, 2])]) : reply(query) } == "name-not-found")
    #expect(try code { _, _, _ in nil } == "name-unanswered")
    #expect(throws: ResolverError.self) { try NameResolver(.none).addresses(of: "broker.example") }
    for name in ["", "a b", "a\u{0}b", String(repeating: "a", count: 254)] {
      #expect(throws: ResolverError.self) { try NameResolver(servers: [(0x7f00_0001, 9)]).addresses(of: name) }
    }
  }

  @Test("a truncated answer is used as it is: nothing is asked over TCP") func truncated() throws {
    let responder = try Responder { query, _, type in reply(query, flags: 0x83, type == 1 ? [(1, [10, 9, 8, 7])] : []) }
    #expect(try responder.resolver.addresses(of: "broker.example").map(\.description) == ["10.9.8.7"])
  }

  @Test("answers that are broken in any way give addresses of hosts or an error", arguments: [1, 2, 3] as [UInt64]) func broken(_ seed: UInt64) throws {
    let random = Mutex(ResolverRandom(state: seed))
    let responder = try Responder { query, _, type in
      var bytes = reply(query, [(type, [10, 0, 0, 1] + (type == 28 ? [UInt8](repeating: 3, count: 12) : [])), (5, [0xc0, 12])])
      random.withLock { generator in
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          // Identifier and question stay: a resolver waits on for an answer to its own question.
          let place = Int.random(in: (query.count)..<bytes.count, using: &generator)
          bytes[place] = UInt8.random(in: 0...255, using: &generator)
        }
        if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0...20, using: &generator)) }
      }
      return bytes
    }
    for _ in 0..<60 {
      do {
        let found = try responder.resolver.addresses(of: "broker.example")
        #expect((1...4).contains(found.count) && found.allSatisfy(\.isUnicastHost))
      } catch { #expect(["name-not-found", "name-unanswered", "name-refused"].contains(error.code)) }
    }
  }
}

@Suite("DNS answers") struct DNSAnswerTests {
  @Test("any bytes are read to an end", arguments: [1, 2, 3] as [UInt64]) func anyBytes(_ seed: UInt64) {
    var random = ResolverRandom(state: seed)
    let question: [UInt8] = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 6, 98, 114, 111, 107, 101, 114, 0, 0, 1, 0, 1]
    let whole = reply(question, [(5, [0xc0, 12]), (1, [10, 0, 0, 1]), (28, [UInt8](repeating: 0xfd, count: 16))])
    #expect(dnsAddresses(whole).count == 2)
    for count in 0..<whole.count { #expect(dnsAddresses(Array(whole.prefix(count))).count < 2) }
    for _ in 0..<20_000 {
      var bytes = Bool.random(using: &random) ? whole : (0..<Int.random(in: 0...80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      #expect(dnsAddresses(bytes).count <= 16)
    }
  }
}

/// A generator whose run can be repeated (SplitMix64).
private struct ResolverRandom: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
