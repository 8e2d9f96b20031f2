import Foundations
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import TestDisk
import Testing

@testable import Discovery

/// Real sockets on the loopback: what one says, another one on this machine hears.
@Suite(.serialized) struct NeighbourhoodTests {
  private final class Heard: Sendable {
    let states = NIOLockedValueBox<[Neighbourhood.State]>([])
    let sightings = NIOLockedValueBox<[Sighting]>([])
  }
  private static let loopback = NetworkAddress(ipv4: 0x7f00_0001)

  private static func device() throws -> DeviceIdentifier {
    // Others may run this at the same time.
    try #require(DeviceIdentifier(publicKeyDigest: (0..<32).map { _ in UInt8.random(in: 0...255) }))
  }

  private func link(_ device: DeviceIdentifier, port: UInt16 = 8_443) -> Neighbourhood.Link {
    Neighbourhood.Link(Announcement(device: device, address: Self.loopback, port: port), prefixLength: 8)
  }

  private func make() async throws -> (Neighbourhood, Heard) {
    let heard = Heard()
    let one = try await Neighbourhood.make(eventLoop: MultiThreadedEventLoopGroup.singleton.next(), loops: true) { _, _ in }.get()
    one.onChange { state in heard.states.withLockedValue { $0.append(state) } }
    one.onSighting { found in heard.sightings.withLockedValue { $0 = found } }
    return (one, heard)
  }

  private func eventually(_ what: String, _ condition: () -> Bool) async throws {
    for _ in 0..<4_800 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("never came true: \(what)")
  }

  @Test("one is announced, another looks for it and sees where it is; a good-bye ends it")
  func found() async throws {
    let (hallDevice, atticDevice) = (try Self.device(), try Self.device())
    let (hall, hallHeard) = try await make()
    let (attic, atticHeard) = try await make()
    hall.seek([atticDevice])
    hall.announce(link(hallDevice), saysGoodbye: true)
    attic.announce(link(atticDevice, port: 9_443), saysGoodbye: true)
    try await eventually("both are announced") {
      hallHeard.states.withLockedValue { $0 } == [.probing, .announced] && atticHeard.states.withLockedValue { $0 } == [.probing, .announced]
    }
    try await eventually("the attic is seen") {
      hallHeard.sightings.withLockedValue { $0 } == [Sighting(device: atticDevice, address: Self.loopback, port: 9_443)]
    }
    #expect(atticHeard.sightings.withLockedValue { $0 }.isEmpty, "it looks for nobody")
    attic.announce(nil, saysGoodbye: true)
    try await eventually("the attic is off") { atticHeard.states.withLockedValue { $0 } == [.probing, .announced, .off] }
    try await hall.stop().get()
    try await eventually("the hall is off") { hallHeard.states.withLockedValue { $0 }.last == .off }
    try await attic.stop().get()
  }

  @Test("of two with one name and different ports one falls silent, until it is told anew")
  func conflict() async throws {
    let device = try Self.device()
    let (first, firstHeard) = try await make()
    let (second, secondHeard) = try await make()
    first.announce(link(device), saysGoodbye: true)
    try await eventually("the first is announced") { firstHeard.states.withLockedValue { $0 } == [.probing, .announced] }
    second.announce(link(device, port: 1), saysGoodbye: true)
    try await eventually("the second is silent") { secondHeard.states.withLockedValue { $0 } == [.probing, .conflict] }
    #expect(firstHeard.states.withLockedValue { $0 } == [.probing, .announced])
    try await first.stop().get()
    second.announce(nil, saysGoodbye: true)
    second.announce(link(device, port: 1), saysGoodbye: true)
    try await eventually("the second has the name now") { secondHeard.states.withLockedValue { $0 }.last == .announced }
    try await second.stop().get()
  }

  @Test("an address that is not this machine's is a failure that is told")
  func noInterface() async throws {
    let (one, heard) = try await make()
    let announcement = Announcement(device: try Self.device(), address: NetworkAddress(ipv4: 0xc000_0201), port: 8_443)
    one.announce(Neighbourhood.Link(announcement, prefixLength: 24), saysGoodbye: true)
    try await eventually("it has failed") { heard.states.withLockedValue { $0 } == [.failed] }
    try await one.stop().get()
    try await eventually("it is off") { heard.states.withLockedValue { $0 } == [.failed, .off] }
  }

  @Test("a neighbour is who has the same network part")
  func neighbours() throws {
    let link = Neighbourhood.Link(Samples.own, prefixLength: 24)
    #expect(link.isNeighbour(Samples.there) && link.isNeighbour(NetworkAddress(ipv4: 0xc000_02ff)))
    #expect(!link.isNeighbour(NetworkAddress(ipv4: 0xc000_0332)))
    let six = try #require(NetworkAddress("fe80::1"))
    #expect(!link.isNeighbour(six))
    #expect(Neighbourhood.Link(Samples.own, prefixLength: 0).isNeighbour(NetworkAddress(ipv4: 0x0808_0808)))
  }
}
