import Foundations
import Testing

@Suite("Where peers are reached") struct PeerDestinationsTests {
  private func destination(_ address: String, _ port: UInt16) throws -> PeerDestinations.Destination {
    let address = try #require(NetworkAddress(address))
    return try #require(PeerDestinations.Destination(address: address, port: port))
  }

  @Test("one form of the bytes for each set, whatever the order")
  func coding() throws {
    let (a, b) = (try destination("192.0.2.7", 8_443), try destination("fd00::7", 443))
    let set = try #require(PeerDestinations([b, a, b]))
    #expect(set.list == [a, b] && set.encoded == [4, 192, 0, 2, 7, 0x20, 0xfb] + [16] + b.address.bytes + [0x01, 0xbb])
    #expect(PeerDestinations(encoded: set.encoded) == set)
    #expect(PeerDestinations(encoded: b.address.bytes.count == 16 ? [16] + b.address.bytes + [0x01, 0xbb] + [4, 192, 0, 2, 7, 0x20, 0xfb] : []) == nil)
    #expect(PeerDestinations(encoded: []) == PeerDestinations.none && PeerDestinations.none.encoded.isEmpty)
  }

  @Test("at most four, none with port 0, none twice")
  func bounds() throws {
    let five = try (1...5).map { try destination("192.0.2.\($0)", 8_443) }
    #expect(PeerDestinations(five.prefix(4)) != nil && PeerDestinations(five) == nil)
    #expect(PeerDestinations.Destination(address: five[0].address, port: 0) == nil)
    let one: [UInt8] = [4, 192, 0, 2, 7, 0x20, 0xfb]
    #expect(PeerDestinations(encoded: one + one) == nil)
    #expect(PeerDestinations(encoded: [4, 192, 0, 2, 7, 0, 0]) == nil)
    let sixteen = try (1...5).flatMap { [16] + (try destination("fd00::\($0)", 1)).address.bytes + [0, 1] }
    #expect(PeerDestinations(encoded: Array(sixteen.prefix(76)))?.list.count == 4 && PeerDestinations(encoded: sixteen) == nil)
  }

  @Test("any bytes give a set or nothing")
  func anyBytes() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...90, using: &random)).map { _ in UInt8.random(in: 0...20, using: &random) }
      if let set = PeerDestinations(encoded: bytes) { #expect(set.encoded == bytes) }
    }
    for cut in 1..<7 { #expect(PeerDestinations(encoded: Array([4, 192, 0, 2, 7, 0x20, 0xfb].prefix(cut))) == nil) }
  }
}
