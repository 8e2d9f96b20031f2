internal import BoardAPI
internal import Foundations
internal import Glibc

/// One setting of the kernel below /proc/sys, with its reason.
struct KernelSetting {
  /// Below /proc/sys; `INTERFACE` stands for the device's interface.
  let path: String
  let value: String

  /// What differs from the kernel's own defaults on a device that is a host and never a router.
  ///
  /// `rp_filter` is missing on purpose: while the interface has no address it would drop the answers to DHCP, so
  /// `RouteInterface` sets it together with the address.
  static let all = [
    // Kernel addresses are nobody's business, root's included.
    KernelSetting(path: "kernel/kptr_restrict", value: "2"),
    // A redirect lets any neighbour move our traffic through itself (RFC 1122 section 3.2.2.2 allows ignoring them). The kernel joins
    // `all` and the interface with OR for a host, so both are 0.
    KernelSetting(path: "net/ipv4/conf/all/accept_redirects", value: "0"),
    KernelSetting(path: "net/ipv4/conf/INTERFACE/accept_redirects", value: "0"),
    KernelSetting(path: "net/ipv4/conf/all/secure_redirects", value: "0"),
    KernelSetting(path: "net/ipv4/conf/INTERFACE/secure_redirects", value: "0"),
    // Only routers send them.
    KernelSetting(path: "net/ipv4/conf/all/send_redirects", value: "0"),
    KernelSetting(path: "net/ipv4/conf/INTERFACE/send_redirects", value: "0"),
    // Whoever sends a packet does not choose its way (RFC 7126 section 4.3).
    KernelSetting(path: "net/ipv4/conf/all/accept_source_route", value: "0"),
    KernelSetting(path: "net/ipv4/conf/INTERFACE/accept_source_route", value: "0"),
    // Answer ARP only for addresses of the interface that it came in by, and ask only from such an address.
    KernelSetting(path: "net/ipv4/conf/all/arp_ignore", value: "1"),
    KernelSetting(path: "net/ipv4/conf/all/arp_announce", value: "2"),
    // No part in smurf attacks (RFC 1122 section 3.2.2.6 allows it), and no log noise from broken routers.
    KernelSetting(path: "net/ipv4/icmp_echo_ignore_broadcasts", value: "1"),
    KernelSetting(path: "net/ipv4/icmp_ignore_bogus_error_responses", value: "1"),
    // A RST does not end a connection in TIME-WAIT early (RFC 1337).
    KernelSetting(path: "net/ipv4/tcp_rfc1337", value: "1"),
    // A flood of half-open connections does not lock clients out.
    KernelSetting(path: "net/ipv4/tcp_syncookies", value: "1"),
    KernelSetting(path: "net/ipv4/ip_forward", value: "0"),
    // IPv6 is the kernel's: addresses and routes by router advertisement (RFC 4862), stable and opaque, not made from the hardware
    // address (RFC 7217, addr_gen_mode 2 needs a secret, 3 makes a random one).
    KernelSetting(path: "net/ipv6/conf/all/forwarding", value: "0"),
    KernelSetting(path: "net/ipv6/conf/INTERFACE/addr_gen_mode", value: "3"),
    KernelSetting(path: "net/ipv6/conf/INTERFACE/accept_ra", value: "1"),
    KernelSetting(path: "net/ipv6/conf/INTERFACE/autoconf", value: "1"),
    KernelSetting(path: "net/ipv6/conf/INTERFACE/accept_redirects", value: "0"),
    KernelSetting(path: "net/ipv6/conf/INTERFACE/accept_source_route", value: "-1"),
    // A neighbour can advertise no more than this many addresses and routers into us (the kernel's default for addresses, said here so that
    // nothing changes it).
    KernelSetting(path: "net/ipv6/conf/INTERFACE/max_addresses", value: "16"),
    // A router that asks for a smaller hop limit than 32 would cut us off from the world (RFC 4861 section 6.3.4).
    KernelSetting(path: "net/ipv6/conf/INTERFACE/accept_ra_min_hop_limit", value: "32"),
  ]

  /// Its file for `interface`.
  func file(interface: String) -> String {
    let parts = path.split(separator: "/").map { $0 == "INTERFACE" ? interface : String($0) }
    return "/proc/sys/" + parts.joined(separator: "/")
  }

  /// Writes it. Throws, naming the file, where the kernel has no such setting or refuses the value.
  func apply(interface: String) throws(BoardError) {
    try Self.write(value, to: file(interface: interface))
  }

  static func write(_ value: String, to path: String) throws(BoardError) {
    let number = open(path, O_WRONLY | O_CLOEXEC)
    guard number >= 0 else { throw .system(code: "setting-failed", call: "open", subject: path, number: errno) }
    let file = OwnedDescriptor(adopting: number)
    let bytes = Array(value.utf8)
    guard Glibc.write(file.number, bytes, bytes.count) == bytes.count else {
      throw .system(code: "setting-failed", call: "write", subject: path, number: errno, hint: "the kernel refused “\(value)”")
    }
  }

  /// All of them as one phase of boot. A setting that fails does not keep the others from being made; the phase then names the first.
  /// Not essential: each is a second line of defence, and a device that cannot start tells nobody what is wrong.
  static func phase(interface: String) -> BoardPhase {
    BoardPhase(name: "kernel-settings", isEssential: false) { () throws(BoardError) in
      var first: BoardError?
      for setting in all {
        do throws(BoardError) {
          try setting.apply(interface: interface)
        } catch {
          first = first ?? error
        }
      }
      if let first { throw first }
    }
  }
}
