internal import BoardAPI
internal import SupervisorLink

/// What the runtime asks to be set on the interface, looked at as if an attacker had written it.
enum LeaseCheck {
  /// The configuration of a lease that makes sense; else why not.
  static func configuration(of lease: NetworkLease) -> Result<InterfaceConfiguration, LeaseRefusal> {
    let address = lease.prefix.address
    let length = lease.prefix.prefixLength
    guard isUnicast(address) else { return .failure(LeaseRefusal(reason: "\(dotted(address)) is no address of a host")) }
    // Shorter than 8 would take the whole Internet for neighbours; longer than 30 has no room for a host and a router.
    guard (8...30).contains(length) else { return .failure(LeaseRefusal(reason: "a prefix of \(length) bits is not in 8…30")) }
    let hostMask = UInt32.max >> UInt32(length)
    guard address & hostMask != 0, address & hostMask != hostMask else {
      return .failure(LeaseRefusal(reason: "\(dotted(address))/\(length) is the network or its broadcast address"))
    }
    if lease.router != 0 {
      guard lease.router & ~hostMask == address & ~hostMask, lease.router != address,
        lease.router & hostMask != 0, lease.router & hostMask != hostMask
      else { return .failure(LeaseRefusal(reason: "the router \(dotted(lease.router)) is no other host in \(dotted(address))/\(length)")) }
    }
    for resolver in lease.resolvers where resolver != 0 {
      guard isUnicast(resolver) else { return .failure(LeaseRefusal(reason: "the resolver \(dotted(resolver)) is no address of a host")) }
    }
    guard lease.valid_s > 0 else { return .failure(LeaseRefusal(reason: "it is valid for 0 seconds")) }
    return .success(InterfaceConfiguration(address: address, prefixLength: length, router: lease.router))
  }

  /// Not "this network" (0/8), loopback (127/8), multicast (224/4), reserved or broadcast (240/4). RFC 6890.
  private static func isUnicast(_ address: UInt32) -> Bool {
    let first = address >> 24
    return first != 0 && first != 127 && first < 224
  }

  static func dotted(_ address: UInt32) -> String {
    "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
  }

  /// A label of RFC 1123: letters, digits and inner hyphens.
  static func isHostName(_ name: ShortName) -> Bool {
    let bytes = name.text.utf8
    return bytes.first != UInt8(ascii: "-") && bytes.last != UInt8(ascii: "-")
      && bytes.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}

struct LeaseRefusal: Error, Equatable { let reason: String }
