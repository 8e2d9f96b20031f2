import Discovery
import Foundations
import Identity
import Testing

@testable import DeviceCore
@testable import PeerLink

@Suite("Where peers that moved are looked for")
struct PeerSearchTests {
  private static let place = PeerDestinations.Destination(address: NetworkAddress(ipv4: 0xc000_0207), port: 8_443)

  private func peer() throws -> PeerEntry {
    PeerEntry(device: try #require(DeviceIdentifier("00112233445566778899")), destination: Self.place, scope: try PeerScope([]))
  }
  private func sighting(_ entry: PeerEntry, _ last: UInt32, port: UInt16 = 8_443) -> Sighting {
    Sighting(device: entry.device, address: NetworkAddress(ipv4: 0xc000_0200 + last), port: port)
  }
  private func status(_ state: PeerLinkStatus.State, _ code: String? = nil) -> PeerLinkStatus {
    var status = PeerLinkStatus()
    status.state = state
    status.failure = code.map { PeerLinkError(code: $0, reason: "") }
    return status
  }

  @Test("who does not answer, or another one's place, is looked for; who answers and refuses is not")
  func missing() throws {
    let entry = try peer()
    var search = PeerSearch()
    for (state, code, isMissing) in [
      (.waiting, nil, false), (.connecting, nil, false), (.waiting, "peer-unreachable", true), (.connecting, "peer-unreachable", true),
      (.connected, nil, false),
      (.refused, "peer-wrong", true), (.refused, "peer-refused", false), (.waiting, "peer-silent", true), (.refused, "peer-incompatible", false),
    ] as [(PeerLinkStatus.State, String?, Bool)] {
      search.take(entry.device, status(state, code))
      #expect(search.missing.contains(entry.device) == isMissing, "\(state) \(code ?? "")")
    }
  }

  @Test(
    "a place is asked for once, at the declared port, and tried when the supervisor takes it; a worse one is given up, and the next one comes after a pause")
  func found() throws {
    let entry = try peer()
    let declared = [try #require(Self.place)]
    var search = PeerSearch()
    let two = [sighting(entry, 9), sighting(entry, 10)]
    let early = search.next(two, declared: declared, [entry], now_ms: 0)
    #expect(early == nil, "it is not missed")
    search.take(entry.device, status(.waiting, "peer-unreachable"))
    for useless in [[], [sighting(entry, 7)], [sighting(entry, 9, port: 443)]] {
      let none = search.next(useless, declared: declared, [entry], now_ms: 0)
      #expect(none == nil)
    }
    for (places, entries) in [([], [entry]), (declared, [])] as [([PeerDestinations.Destination], [PeerEntry])] {
      var other = search
      let none = other.next(two, declared: places, entries, now_ms: 0)
      #expect(none == nil)
    }
    let firstMove = search.next(two, declared: declared, [entry], now_ms: 0)
    let first = try #require(firstMove)
    #expect(first.to.description == "192.0.2.9:8443" && first.from == Self.place)
    let meanwhile = search.next(two, declared: declared, [entry], now_ms: 10_000)
    #expect(meanwhile == nil, "one question at a time")
    let isTaken = search.settle(first, isPermitted: true)
    #expect(isTaken && search.found[entry.device] == first)
    // It is no better there.
    search.take(entry.device, status(.refused, "peer-wrong"))
    #expect(search.found.isEmpty)
    let tooSoon = search.next(two, declared: declared, [entry], now_ms: 4_999)
    #expect(tooSoon == nil)
    let secondMove = search.next(two, declared: declared, [entry], now_ms: 5_000)
    let second = try #require(secondMove)
    #expect(second.to.description == "192.0.2.10:8443")
    let isRefused = search.settle(second, isPermitted: false)
    #expect(!isRefused && search.found.isEmpty)
    let thirdMove = search.next(two, declared: declared, [entry], now_ms: 10_000)
    let third = try #require(thirdMove)
    #expect(third.to.description == "192.0.2.9:8443")
    _ = search.settle(third, isPermitted: true)
    search.keep(declared)
    #expect(search.found.count == 1)
    search.keep([])
    #expect(search.found.isEmpty)
    // What is answered after all of it was forgotten does not count: the supervisor may have taken it back already.
    let lateMove = search.next(two, declared: declared, [entry], now_ms: 15_000)
    let late = try #require(lateMove)
    search.forgetFound()
    let isLate = search.settle(late, isPermitted: true)
    #expect(!isLate && search.found.isEmpty)
    let againMove = search.next(two, declared: declared, [entry], now_ms: 20_000)
    let again = try #require(againMove)
    let isAgain = search.settle(again, isPermitted: true)
    #expect(isAgain)
  }
}
