extension DHCPClient {
  /// What the client asks to be told (option 55). Classless routes (option 121) are not asked for: with them any server could draw the
  /// device's traffic to itself while everything looks well. Nor are search lists, boot files, time servers.
  static let parameters = [
    DHCPOptionCode.subnetMask, DHCPOptionCode.router, DHCPOptionCode.domainNameServer, DHCPOptionCode.leaseTime,
    DHCPOptionCode.renewalTime, DHCPOptionCode.rebindingTime,
  ]

  /// DHCPDISCOVER (RFC 2131 table 5).
  func discover() -> DHCPMessage { message(.discover, clientAddress: .unspecified, extra: []) }

  /// DHCPREQUEST for the present state and where it goes (RFC 2131 table 4); nil in states that request nothing.
  func request() -> (DHCPMessage, to: IPv4Address)? {
    switch (state, offer, lease) {
    case (.requesting, let offer?, _):
      let extra: [DHCPOption] = [
        .address(DHCPOptionCode.requestedAddress, offer.address), .address(DHCPOptionCode.serverIdentifier, offer.server),
      ]
      return (message(.request, clientAddress: .unspecified, extra: extra), to: .broadcast)
    case (.rebooting, _, let lease?):
      let extra: [DHCPOption] = [.address(DHCPOptionCode.requestedAddress, lease.address)]
      return (message(.request, clientAddress: .unspecified, extra: extra), to: .broadcast)
    case (.renewing, _, let lease?): return (message(.request, clientAddress: lease.address, extra: []), to: lease.server)
    case (.rebinding, _, let lease?): return (message(.request, clientAddress: lease.address, extra: []), to: .broadcast)
    default: return nil
    }
  }

  private func message(_ type: DHCPMessageType, clientAddress: IPv4Address, extra: [DHCPOption]) -> DHCPMessage {
    var options: [DHCPOption] = [
      .type(type),
      // Type 1 and the hardware address (RFC 2132 section 9.14), not a DUID (RFC 4361): version 1 has one wired interface, and this
      // is what administrators write into reservations. It says nothing that chaddr does not say, and needs no storage.
      DHCPOption(code: DHCPOptionCode.clientIdentifier, value: [1] + configuration.hardwareAddress),
    ]
    options += extra
    let most = UInt16(DHCPMessage.maximumBytes)
    options.append(DHCPOption(code: DHCPOptionCode.maximumMessageSize, value: [UInt8(most >> 8), UInt8(most & 255)]))
    options.append(DHCPOption(code: DHCPOptionCode.parameterRequestList, value: Self.parameters))
    if let hostName = configuration.hostName {
      options.append(DHCPOption(code: DHCPOptionCode.hostName, value: Array(hostName.utf8)))
    }
    // With an address the answer comes to it (RFC 2131 section 4.1); without one the kernel takes nothing but broadcasts.
    return DHCPMessage(
      operation: .request, transaction: transaction, elapsed_s: elapsed_s, broadcast: clientAddress == .unspecified,
      clientAddress: clientAddress, hardwareAddress: configuration.hardwareAddress, options: options)
  }
}
