import Foundations
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import LocalAPI

/// A generator whose run can be repeated (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Thousands of broken requests from fixed seeds: nothing crashes, nothing is a fault of the server's, nothing half-read is carried out.
@Suite struct FuzzTests {
  static let seeds: [String] = [
    "GET /v1/info HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /v1/logs?after=12 HTTP/1.1\r\nHost: haechi.local:8443\r\nAccept: application/json;q=0.5, */*\r\n\r\n",
    "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"on\":true}",
    "PUT /v1/provisioning HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n{\"serialNumber\":\"a\",\"certificateChain\":1}",
    "POST /v1/claim HTTP/1.1\r\nHost: h\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "PUT /v1/actuators/relay HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n{\"on\":false}",
  ]
  static let pieces = [
    "\r\n", "\n", "\r", "\0", " ", "\t", ":", ",", ";", "/", "//", "..", "%2e", "?", "&", "=", "#", "{", "}", "[", "]", "\"", "\\u0000", "\\ud800", "é",
    "\u{feff}",
    "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Host: x\r\n", "HTTP/1.0", "HTTP/2.0", "-1", "99999999999999999999", "true", "null", "1e999",
    "GET /v1/logs HTTP/1.1\r\n", "{\"on\":true}", "[[[[[[[[[[[[[[[[[[[[",
  ]

  func mutate(_ bytes: [UInt8], with generator: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let place = Int.random(in: 0...bytes.count, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
      case 1 where place < bytes.count: bytes.remove(at: place)
      case 2: bytes.insert(contentsOf: (Self.pieces.randomElement(using: &generator) ?? "").utf8, at: place)
      case 3: bytes = Array(bytes.prefix(place))
      case 4:
        let length = Int.random(in: 0...min(64, bytes.count - place), using: &generator)
        bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
      default: bytes.insert(contentsOf: [UInt8](repeating: UInt8.random(in: 0...255, using: &generator), count: 3), at: place)
      }
    }
    return bytes
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func mutatedRequestsAreAnsweredOrDropped(_ seed: UInt64) async throws {
    var generator = SeededGenerator(state: seed)
    var answered = 0
    for turn in 0..<500 {
      let role = CallerRole.allCases.randomElement(using: &generator) ?? .viewer
      let wire = try await Wire(role)
      var rest = mutate(Array(Self.seeds[turn % Self.seeds.count].utf8), with: &generator)[...]
      // In pieces, as a network would.
      while !rest.isEmpty {
        let count = Bool.random(using: &generator) ? rest.count : Int.random(in: 1...rest.count, using: &generator)
        try await wire.send(Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
      }
      // What is incomplete is given up by the deadlines, so that every connection comes to an answer.
      await wire.advance(60_000)
      let answer = try await wire.answer()
      if let answer {
        answered += 1
        #expect((100..<500).contains(answer.status), "seed \(seed), turn \(turn): \(answer.status)")
        if answer.status >= 400 { #expect(wire.device.changes.isEmpty, "seed \(seed), turn \(turn)") }
      }
      #expect(wire.device.changes.count <= 1)
    }
    // Only what was cut to nothing has no answer.
    #expect(answered > 450)
  }

  /// Every head that this parser accepts is read by NIOHTTP1's decoder (llhttp) in the same way: no second reading exists that somebody
  /// between client and device could hold.
  @Test func acceptedHeadsHaveOneReading() throws {
    var generator = SeededGenerator(state: 5)
    var accepted = 0
    for turn in 0..<20_000 {
      let bytes = mutate(Array(Self.seeds[turn % Self.seeds.count].utf8), with: &generator)
      guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: Array("\r\n\r\n".utf8)) }) else { continue }
      let headBytes = Array(bytes[..<(end + 4)])
      guard case .success(let head) = parseRequestHead(headBytes, limits: APILimits()) else { continue }
      accepted += 1
      let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)))
      do {
        try channel.writeInbound(ByteBuffer(bytes: headBytes))
      } catch {
        // It knows fewer methods than RFC 9110 allows: those get 405 here.
        #expect(HTTPMethod.allKnown.contains(head.method) == false, "\(String(decoding: headBytes, as: UTF8.self)): \(error)")
        _ = try? channel.finish(acceptAlreadyClosed: true)
        continue
      }
      let part = try channel.readInbound(as: HTTPServerRequestPart.self)
      guard case .head(let other)? = part else {
        Issue.record("the other decoder waits for more: \(String(decoding: headBytes, as: UTF8.self))")
        continue
      }
      #expect(other.method.rawValue == head.method && other.uri == head.target && other.version == .http1_1)
      // llhttp leaves tabs at the end of a value, which RFC 9110 section 5.5 does not count as part of it.
      #expect(other.headers.map { "\($0.name.lowercased()): \(trimmed($0.value))" } == head.fields.all.map { "\($0.name): \($0.value)" })
      #expect(other.headers["content-length"].first.flatMap { Int($0) } ?? 0 == head.bodyLength_bytes)
      _ = try? channel.finish(acceptAlreadyClosed: true)
    }
    #expect(accepted > 1_000)
  }

  /// JSON that the scan accepts is accepted by a JSON decoder, too, and has the same member names.
  @Test func acceptedJSONHasOneReading() throws {
    let seeds = [
      #"{"on":true}"#, #"{"a":[1,2.5,-3e4,{"b":null}],"c":"\u00e9\n","d":{}}"#, #"[[],[{}],"x"]"#, #""text""#, "12",
      #"{"serialNumber":"x","certificateChain":"-----BEGIN\n"}"#,
    ]
    var generator = SeededGenerator(state: 6)
    var accepted = 0
    for turn in 0..<20_000 {
      let bytes = mutate(Array(seeds[turn % seeds.count].utf8), with: &generator)
      guard case .success(let outline) = scanJSON(bytes, maximumDepth: 16) else { continue }
      accepted += 1
      // A decoder may still refuse a number that is out of its range.
      guard let value = try? JSONValue(bytes) else {
        #expect(String(decoding: bytes, as: UTF8.self).contains { $0 == "e" || $0 == "E" || $0.isNumber })
        continue
      }
      if let names = outline.memberNames {
        #expect(Set(names) == Set(value.members.keys))
      } else {
        #expect(value.members.isEmpty)
      }
    }
    #expect(accepted > 500)
  }
}

extension HTTPMethod {
  /// What llhttp has in its list, as far as mutations of the seeds can reach it.
  static let allKnown: Set<String> = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "CONNECT"]
}
