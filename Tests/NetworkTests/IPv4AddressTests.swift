import Network
import Testing

@Suite struct IPv4AddressTests {
  @Test func textAndNumber() {
    #expect(IPv4Address("10.0.2.15")?.rawValue == 0x0a00_020f)
    #expect(IPv4Address(rawValue: 0xc0a8_0001).description == "192.168.0.1")
    for bad in ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", "+1.2.3.4", "1.2.3.4 ", "a.b.c.d"] {
      #expect(IPv4Address(bad) == nil, "\(bad)")
    }
  }

  @Test(arguments: ["0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.3.4", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
  func addressesThatNoHostHas(_ text: String) { #expect(!ip(text).isUsableByHost) }

  @Test(arguments: ["10.0.0.1", "192.168.1.1", "172.16.0.9", "203.0.113.7", "223.255.255.1"])
  func addressesThatAHostMayHave(_ text: String) { #expect(ip(text).isUsableByHost) }
}

@Suite struct ResolverConfigurationTests {
  @Test func keepsThreeUsableOnes() {
    let given = ["10.0.0.1", "127.0.0.53", "10.0.0.1", "0.0.0.0", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(ip)
    #expect(ResolverConfiguration(resolvers: given).resolvers == ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(ip))
  }

  @Test func storeReplaces() {
    let store = ResolverStore()
    #expect(store.current == .none)
    store.set(ResolverConfiguration(resolvers: [ip("10.0.0.1")]))
    #expect(store.current.resolvers == [ip("10.0.0.1")])
    store.set(.none)
    #expect(store.current.resolvers.isEmpty)
  }
}
