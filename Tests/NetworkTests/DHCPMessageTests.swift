import Network
import Testing

/// An offer as bytes, each field of RFC 2131 figure 1 beside its name.
enum Fixture {
  static let header: [UInt8] =
    [
      0x02,  // op: reply
      0x01,  // htype: Ethernet
      0x06,  // hlen
      0x00,  // hops
      0x12, 0x34, 0x56, 0x78,  // xid
      0x00, 0x05,  // secs: 5
      0x80, 0x00,  // flags: BROADCAST
      0x00, 0x00, 0x00, 0x00,  // ciaddr
      0x0a, 0x00, 0x02, 0x0f,  // yiaddr 10.0.2.15
      0x0a, 0x00, 0x02, 0x02,  // siaddr 10.0.2.2
      0x00, 0x00, 0x00, 0x00,  // giaddr
      0x02, 0x00, 0x00, 0xaa, 0xbb, 0xcc,  // chaddr, hlen bytes of it
    ] + [UInt8](repeating: 0, count: 10)  // chaddr, the rest
  static let noServerName = [UInt8](repeating: 0, count: 64)
  static let noFile = [UInt8](repeating: 0, count: 128)
  static let cookie: [UInt8] = [0x63, 0x82, 0x53, 0x63]
  static let options: [UInt8] = [
    53, 1, 2,  // message type: offer
    0,  // pad, which has no length
    54, 4, 10, 0, 2, 2,  // server identifier
    51, 4, 0x00, 0x01, 0x51, 0x80,  // lease time 86400 s
    1, 4, 255, 255, 255, 0,  // subnet mask
    3, 4, 10, 0, 2, 2,  // router
    6, 8, 10, 0, 2, 3, 10, 0, 2, 4,  // resolvers
    255,  // end
  ]
  static var offer: [UInt8] { header + noServerName + noFile + cookie + options }
  static func with(options: [UInt8], serverName: [UInt8] = noServerName, file: [UInt8] = noFile) -> [UInt8] {
    header + padded(serverName, 64) + padded(file, 128) + cookie + options
  }
  static func padded(_ bytes: [UInt8], _ length: Int) -> [UInt8] { bytes + [UInt8](repeating: 0, count: length - bytes.count) }
}

@Suite struct DHCPMessageTests {
  @Test func everyFieldOfTheFixture() throws {
    let message = try DHCPMessage(parsing: Fixture.offer)
    #expect(message.operation == .reply)
    #expect(message.hardwareType == 1)
    #expect(message.hops == 0)
    #expect(message.transaction == 0x1234_5678)
    #expect(message.elapsed_s == 5)
    #expect(message.broadcast)
    #expect(message.clientAddress == .unspecified)
    #expect(message.yourAddress == ip("10.0.2.15"))
    #expect(message.nextServerAddress == ip("10.0.2.2"))
    #expect(message.relayAddress == .unspecified)
    #expect(message.hardwareAddress == hardwareAddress)
    #expect(message.type == .offer)
    #expect(message.address(DHCPOptionCode.serverIdentifier) == ip("10.0.2.2"))
    #expect(message.number(DHCPOptionCode.leaseTime) == 86_400)
    #expect(message.addresses(DHCPOptionCode.domainNameServer) == [ip("10.0.2.3"), ip("10.0.2.4")])
    #expect(message.options.map(\.code) == [53, 54, 51, 1, 3, 6])
    #expect(message.value(12) == nil)
  }

  @Test func serializesToTheFixture() throws {
    let bytes = try DHCPMessage(parsing: Fixture.offer).serialized()
    var expected = Fixture.offer
    expected.remove(at: 243)  // The pad between the options is not written again.
    #expect(bytes == Fixture.padded(expected, 300))
  }

  @Test func overloadReadsFileThenServerName() throws {
    let message = try DHCPMessage(
      parsing: Fixture.with(
        options: [53, 1, 2, 52, 1, 3, 56, 1, 0x61, 255], serverName: [56, 1, 0x63, 54, 4, 10, 0, 0, 1, 255, 56, 1, 0x78],
        file: [56, 1, 0x62, 255, 56, 1, 0x78]))
    #expect(message.serverWords == "abc")  // Joined in the order options, file, sname (RFC 3396); nothing after an end.
    #expect(message.address(54) == ip("10.0.0.1"))
    #expect(message.value(52) == nil)
  }

  @Test(arguments: [(UInt8(1), "ab"), (2, "ac")]) func overloadOfOneField(_ which: UInt8, _ words: String) throws {
    let bytes = Fixture.with(options: [52, 1, which, 56, 1, 0x61, 255], serverName: [56, 1, 0x63, 255], file: [56, 1, 0x62, 255])
    #expect(try DHCPMessage(parsing: bytes).serverWords == words)
  }

  @Test func joinsPartsOfOneOption() throws {
    let message = try DHCPMessage(parsing: Fixture.with(options: [1, 2, 255, 255, 53, 1, 5, 1, 2, 254, 0, 255]))
    #expect(message.address(1) == ip("255.255.254.0"))
    #expect(message.type == .ack)
  }

  @Test func missingEndIsTolerated() throws {
    #expect(try DHCPMessage(parsing: Fixture.with(options: [53, 1, 6])).type == .nak)
  }

  static let malformed: [(String, [UInt8])] = [
    ("the message has 0 bytes", []),
    ("the message has 239 bytes", Array(Fixture.offer.prefix(239))),
    ("longer than 1472", Fixture.offer + [UInt8](repeating: 0, count: 1_473 - Fixture.offer.count)),
    ("op is 3", [3] + Fixture.offer.dropFirst()),
    ("hlen is 17", [2, 1, 17] + Fixture.offer.dropFirst(3)),
    ("magic cookie", Fixture.header + Fixture.noServerName + Fixture.noFile + [0x63, 0x82, 0x53, 0x64] + Fixture.options),
    ("option 12 in options has no length", Fixture.with(options: [12])),
    ("option 12 in options says 5 bytes, 4 are left", Fixture.with(options: [12, 5, 1, 2, 3, 4])),
    ("option 53 has 2 bytes", Fixture.with(options: [53, 2, 1, 1, 255])),
    ("option 53 has 0 bytes", Fixture.with(options: [53, 0, 255])),
    ("option 51 has 3 bytes", Fixture.with(options: [51, 3, 1, 1, 1, 255])),
    ("option 3 has 0 bytes", Fixture.with(options: [3, 0, 255])),
    ("option 6 has 6 bytes", Fixture.with(options: [6, 6, 1, 1, 1, 1, 1, 1, 255])),
    ("option 52 (overload) must be", Fixture.with(options: [52, 1, 4, 255])),
    ("option 52 (overload) must be", Fixture.with(options: [52, 2, 1, 1, 255])),
    ("inside an overloaded field", Fixture.with(options: [52, 1, 1, 255], file: [52, 1, 2, 255])),
    ("option 12 in file says 200 bytes", Fixture.with(options: [52, 1, 1, 255], file: [12, 200])),
    ("option 12 in sname says 63 bytes, 62 are left", Fixture.with(options: [52, 1, 2, 255], serverName: [12, 63])),
  ]

  @Test(arguments: malformed) func malformedIsRefusedByName(_ expected: String, _ bytes: [UInt8]) {
    let error = #expect(throws: DHCPMessageError.self) { try DHCPMessage(parsing: bytes) }
    #expect(error?.reason.contains(expected) == true, "\(error?.reason ?? "accepted")")
  }

  @Test func serverWordsArePrintable() throws {
    let message = try DHCPMessage(parsing: Fixture.with(options: [56, 5, 0x1b, 0x41, 0x0a, 0xff, 0x42, 255]))
    #expect(message.serverWords == "AB")
  }

  @Test func serializerRefusesWhatHasNoForm() {
    func message(_ address: [UInt8], _ options: [DHCPOption]) -> DHCPMessage {
      DHCPMessage(operation: .request, transaction: 1, hardwareAddress: address, options: options)
    }
    #expect(throws: DHCPMessageError.self) { try message([UInt8](repeating: 1, count: 17), []).serialized() }
    for code: UInt8 in [0, 52, 255] {
      #expect(throws: DHCPMessageError.self) { try message(hardwareAddress, [DHCPOption(code: code, value: [1])]).serialized() }
    }
    let long = DHCPOption(code: 43, value: [UInt8](repeating: 1, count: 1_300))
    #expect(throws: DHCPMessageError.self) { try message(hardwareAddress, [long]).serialized() }
  }

  /// Whatever is written is read back as it was.
  @Test func roundTrip() throws {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<2_000 {
      let message = Self.randomMessage(&random)
      let bytes = try message.serialized()
      #expect(try DHCPMessage(parsing: bytes) == message)
    }
  }

  /// Damaged messages: never a trap, and whatever is accepted can be written and is read back the same.
  @Test func mutations() throws {
    var random = SeededGenerator(seed: 2)
    var accepted = 0
    var refused = 0
    for round in 0..<20_000 {
      var bytes = round % 3 == 0 ? Fixture.offer : try Self.randomMessage(&random).serialized()
      if round % 5 == 0 { bytes[240...] = [52, 1, UInt8.random(in: 0...4, using: &random)] + bytes[240...] }
      for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
        case 3: bytes = Array(bytes.prefix(place))
        default: bytes[Int.random(in: min(240, bytes.count - 1)..<bytes.count, using: &random)] = 255
        }
      }
      guard let message = try? DHCPMessage(parsing: bytes) else {
        refused += 1
        continue
      }
      accepted += 1
      if let again = try? message.serialized() { #expect(try DHCPMessage(parsing: again) == message) }
      _ = (message.type, message.serverWords, message.addresses(DHCPOptionCode.router))
    }
    // The generator must reach both sides, or it tests nothing.
    #expect(accepted > 1_000 && refused > 1_000, "accepted \(accepted), refused \(refused)")
  }

  static func randomMessage(_ random: inout SeededGenerator) -> DHCPMessage {
    func address() -> IPv4Address { IPv4Address(rawValue: UInt32.random(in: 0...(.max), using: &random)) }
    var options: [DHCPOption] = []
    for code in Set((0..<Int.random(in: 0...6, using: &random)).map { _ in UInt8.random(in: 1...254, using: &random) }).sorted() where code != 52 {
      let length: Int =
        switch code {
        case 1, 50, 51, 54, 58, 59: 4
        case 3, 6: 4 * Int.random(in: 1...5, using: &random)
        case 53: 1
        default: Int.random(in: 0...(options.isEmpty ? 600 : 20), using: &random)
        }
      options.append(DHCPOption(code: code, value: (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }))
    }
    return DHCPMessage(
      operation: Bool.random(using: &random) ? .request : .reply, hardwareType: UInt8.random(in: 0...255, using: &random),
      hops: UInt8.random(in: 0...255, using: &random), transaction: UInt32.random(in: 0...(.max), using: &random),
      elapsed_s: UInt16.random(in: 0...(.max), using: &random), broadcast: Bool.random(using: &random), clientAddress: address(),
      yourAddress: address(), nextServerAddress: address(), relayAddress: address(),
      hardwareAddress: (0..<Int.random(in: 0...16, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }, options: options)
  }
}
