internal import Foundations
internal import Glibc

/// The addresses that the system's name service (getaddrinfo(3)) has for `host`; empty where there are none. Waits for the network.
func resolve(_ host: String) -> [NetworkAddress] {
  var wanted = addrinfo()
  wanted.ai_socktype = CInt(SOCK_STREAM.rawValue)
  var list: UnsafeMutablePointer<addrinfo>?
  guard getaddrinfo(host, nil, &wanted, &list) == 0 else { return [] }
  defer { freeaddrinfo(list) }
  var addresses: [NetworkAddress] = []
  var entry = list
  while let current = entry, addresses.count < 16 {
    if let address = networkAddress(current.pointee.ai_addr), !addresses.contains(address) { addresses.append(address) }
    entry = current.pointee.ai_next
  }
  return addresses
}

private func networkAddress(_ address: UnsafeMutablePointer<sockaddr>?) -> NetworkAddress? {
  guard let address else { return nil }
  let pointer = UnsafeRawPointer(address)
  switch CInt(address.pointee.sa_family) {
  case AF_INET:
    return withUnsafeBytes(of: pointer.loadUnaligned(as: sockaddr_in.self).sin_addr) { NetworkAddress(bytes: Array($0)) }
  case AF_INET6:
    return withUnsafeBytes(of: pointer.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { NetworkAddress(bytes: Array($0)) }
  default: return nil
  }
}
