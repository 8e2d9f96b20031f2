import Foundations
import Identity
import LocalAPI
import Testing

@testable import DeviceCore

@Suite("Who is a peer, and who asks to be one") struct PeerBookTests {
  private let folder = TestFolder()

  private func load() -> PeerBook { PeerBook(folder: PrivateFolder(path: folder.path), log: DeviceLog()) }
  private func device(_ number: Int) throws -> DeviceIdentifier {
    let digits = String(number, radix: 16)
    return try #require(DeviceIdentifier(String(repeating: "0", count: 20 - digits.utf8.count) + digits))
  }
  private func entry(_ number: Int, address: String? = nil, scope: [String] = []) throws -> PeerEntry {
    let destination = try address.map { text in
      let address = try #require(NetworkAddress(text))
      return try #require(PeerDestinations.Destination(address: address, port: 8_443))
    }
    return PeerEntry(device: try device(number), destination: destination, scope: try PeerScope(scope))
  }

  @Test("a list is kept, and read again")
  func kept() throws {
    let book = load()
    #expect(try book.entries.isEmpty && book.entry(of: device(1)) == nil)
    let list = [try entry(2, address: "fd00::7", scope: ["readings:b", "readings:a"]), try entry(1)]
    try book.replace(list, about: try device(1))
    #expect(folder.mode(of: "peers.json") == 0o600)
    let again = load()
    #expect(again.entries == [list[1], list[0]])
    #expect(try again.entry(of: device(2))?.scope.readings == ["a", "b"])
    again.forget()
    #expect(again.entries.isEmpty)
  }

  @Test("a file that cannot be read leaves nobody a peer")
  func unreadable() throws {
    for text in [
      "", "{}", "{\"version\":2,\"peers\":[]}", "{\"version\":1,\"peers\":[{\"deviceId\":\"x\",\"scope\":[]}]}",
      "{\"version\":1,\"peers\":[{\"deviceId\":\"\(try device(1))\",\"address\":\"attic\",\"port\":1,\"scope\":[]}]}",
      "{\"version\":1,\"peers\":[{\"deviceId\":\"\(try device(1))\",\"scope\":[\"everything\"]}]}",
    ] {
      folder.write(text, to: "peers.json")
      #expect(load().entries.isEmpty, "\(text)")
    }
  }

  @Test("who is not listed may ask, a bounded number at a time, and once an hour")
  func asking() throws {
    let book = load()
    try book.replace([try entry(1)], about: try device(1))
    #expect(try book.admits(device(1), isNew: true) && book.admits(device(1), isNew: false))
    #expect(try !book.arrived(device(1)))
    // In a handshake it may come; before it has proved who it is it is not known.
    #expect(try book.admits(device(2), isNew: true, now_ms: 0) && !book.admits(device(2), isNew: false, now_ms: 0))
    #expect(try book.arrived(device(2), now_ms: 0))
    #expect(try !book.arrived(device(2), now_ms: 1), "the second time is no news")
    #expect(try book.admits(device(2), isNew: false, now_ms: 1))
    for number in 3..<10 { #expect(try book.arrived(device(number), now_ms: 2)) }
    #expect(book.asking(now_ms: 3).count == PeerBook.maximumAsking)
    #expect(try !book.admits(device(99), isNew: true, now_ms: 3) && !book.arrived(device(99), now_ms: 3))
    // Those who came last an hour ago make room; the one that was listed asks no more.
    #expect(try book.admits(device(99), isNew: true, now_ms: 2 + PeerBook.askingLasts_ms) && book.asking(now_ms: 2 + PeerBook.askingLasts_ms).isEmpty)
    #expect(try book.arrived(device(3), now_ms: 8_000_000))
    try book.replace([try entry(1), try entry(3)], about: try device(3))
    #expect(try book.asking(now_ms: 8_000_001).isEmpty && book.admits(device(3), isNew: false))
    try book.replace([try entry(1)], about: try device(3))
    #expect(try !book.admits(device(3), isNew: false))
  }

  @Test("what an owner may say of a peer")
  func rules() throws {
    let rules = PeerRules(device: try device(7), ports: [8_443], allowsLoopback: false)
    func code(_ peer: Int, _ address: String?, _ port: UInt16?, scope: [String] = []) throws -> String? {
      let peer = try device(peer)
      do throws(Problem) {
        _ = try rules.entry(
          peer, PeerRequest(address: address, port: port, scope: scope, event: 0, nonce: "", certificate: "", signature: ""))
        return nil
      } catch {
        return error.code
      }
    }
    #expect(try code(1, nil, nil) == nil)
    #expect(try code(1, "192.0.2.7", 8_443, scope: ["readings:temperature"]) == nil)
    #expect(try code(1, "fd00::7", 8_443) == nil)
    #expect(try code(7, nil, nil) == "peer-is-self")
    #expect(try code(1, "192.0.2.7", nil) == "address-invalid")
    #expect(try code(1, nil, 8_443) == "address-invalid")
    for address in ["attic", "", "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::1", "::ffff:192.0.2.7", "FD00::7", "fd00:0::7", "192.0.2.7 "] {
      #expect(try code(1, address, 8_443) == "address-invalid", "\(address)")
    }
    #expect(try code(1, "192.0.2.7", 443) == "port-not-allowed")
    #expect(try code(1, "192.0.2.7", 0) == "address-invalid")
    #expect(try code(1, nil, nil, scope: ["actuators:relay"]) == "scope-invalid")
  }

  @Test("a link that changes all the time is an event an hour, and the owner's word makes the next change news")
  func news() throws {
    var news = PeerNews()
    func take(_ peer: DeviceIdentifier, _ words: String, _ now_ms: UInt64) -> Bool { news.take(peer, words, now_ms: now_ms) }
    let (one, other) = (try device(1), try device(2))
    #expect(take(one, "connected", 0))
    var events = 0
    for cycle in 1...200 {
      let words = cycle.isMultiple(of: 2) ? "connected" : "refused peer-incompatible"
      if take(one, words, UInt64(cycle) * 17_000) { events += 1 }
    }
    #expect(events == 0)
    #expect(take(other, "connected", 1), "each link for itself")
    // What has changed for good is told in the end, once.
    #expect(take(one, "refused peer-refused", PeerNews.pause_ms))
    #expect(!take(one, "refused peer-refused", 3 * PeerNews.pause_ms))
    news.forget(one)
    #expect(take(one, "refused peer-refused", 3 * PeerNews.pause_ms))
  }
}
