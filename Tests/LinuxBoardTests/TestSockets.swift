import Foundations
import Glibc

/// A call of glibc's that Swift's overlay hides, by its name.
func hiddenCall<Function>(_ name: String, as type: Function.Type) -> Function? {
  guard let symbol = dlsym(nil, name) else { return nil }
  return unsafeBitCast(symbol, to: type)
}

/// A socket of this thread's network that belongs to a user, as far as the packet filter is concerned, and never blocks.
final class TestSocket {
  enum Kind { case tcp, udp, rawTCP, rawICMP }

  let number: CInt
  private let isIPv6: Bool

  /// - Parameter user: whom the kernel takes for the maker: the file system user of this thread at that moment (setfsuid(2)).
  init(_ kind: Kind, user: UInt32 = 0, isIPv6: Bool = false) throws {
    let type =
      switch kind {
      case .tcp: SOCK_STREAM
      case .udp: SOCK_DGRAM
      case .rawTCP, .rawICMP: SOCK_RAW
      }
    let protocolNumber: CInt =
      switch kind {
      case .tcp, .udp: 0
      case .rawTCP: 6
      case .rawICMP: 1
      }
    guard let become = hiddenCall("setfsuid", as: (@convention(c) (UInt32) -> CInt).self) else {
      throw SystemCallError("setfsuid", number: ENOSYS, subject: "test socket")
    }
    _ = become(user)
    number = socket(isIPv6 ? AF_INET6 : AF_INET, CInt(type.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), protocolNumber)
    let error = errno
    _ = become(0)
    guard number >= 0 else { throw SystemCallError("socket", number: error, subject: "test socket") }
    self.isIPv6 = isIPv6
    var on: CInt = 1
    setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    setsockopt(number, SOL_SOCKET, SO_BROADCAST, &on, 4)
  }

  private init(accepted: CInt, isIPv6: Bool) {
    number = accepted
    self.isIPv6 = isIPv6
  }

  deinit { close(number) }

  // MARK: Calls; each returns errno, 0 where it worked

  func bind(port: UInt16) -> CInt { withAddress(.any, port) { Glibc.bind(number, $0, $1) } }
  func listen(port: UInt16) -> CInt {
    let error = bind(port: port)
    return error != 0 ? error : Glibc.listen(number, 8) == 0 ? 0 : errno
  }
  /// EINPROGRESS where the opening was made.
  func connect(_ address: TestAddress, port: UInt16) -> CInt { withAddress(address, port) { Glibc.connect(number, $0, $1) } }

  func send(_ bytes: [UInt8], to address: TestAddress, port: UInt16) -> CInt {
    withAddress(address, port) { sendto(number, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0, $1) < 0 ? -1 : 0 }
  }
  func send(_ text: String, to address: TestAddress, port: UInt16) -> CInt { send(Array(text.utf8), to: address, port: port) }
  func send(_ text: String) -> CInt { Glibc.send(number, text, text.utf8.count, CInt(MSG_NOSIGNAL)) < 0 ? errno : 0 }

  // MARK: What arrives

  func isConnected() -> Bool { outcome() == 0 }
  /// What became of `connect`: 0, errno, or ETIMEDOUT where nothing came of it.
  func outcome() -> CInt {
    guard wait(POLLOUT) else { return ETIMEDOUT }
    var error: CInt = 0
    var size = socklen_t(4)
    return getsockopt(number, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno
  }
  func accept() -> TestSocket? {
    guard wait(POLLIN) else { return nil }
    let accepted = Glibc.accept(number, nil, nil)
    return accepted < 0 ? nil : TestSocket(accepted: accepted, isIPv6: isIPv6)
  }
  /// Waits for bytes; nil where the other end closed, or none came in a time that is long for a network inside one machine.
  func receive() -> String? {
    guard wait(POLLIN), let bytes = received(), !bytes.isEmpty else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }
  /// What is there already.
  func received() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 2048)
    let count = recv(number, &bytes, bytes.count, CInt(MSG_DONTWAIT))
    return count < 0 ? nil : Array(bytes.prefix(count))
  }
  /// Waits until the kernel tried to send something a second time. False where it never did.
  func hasRepeated(times: UInt8 = 1) -> Bool {
    for _ in 0..<2_400 {
      // struct tcp_info (linux/tcp.h): the third byte counts the repetitions of what is not answered, the fourth those of what could not even
      // be sent the first time.
      var facts = [UInt8](repeating: 0, count: 8)
      var size = socklen_t(facts.count)
      if getsockopt(number, CInt(IPPROTO_TCP), 11, &facts, &size) == 0, max(facts[2], facts[3]) >= times { return true }
      usleep(50_000)
    }
    return false
  }

  private func wait(_ events: CInt) -> Bool {
    var waiting = pollfd(fd: number, events: Int16(events), revents: 0)
    return poll(&waiting, 1, 20_000) == 1
  }

  private func withAddress(_ address: TestAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
    func call<Address>(_ here: Address) -> CInt {
      withUnsafePointer(to: here) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) == 0 ? 0 : errno }
      }
    }
    if isIPv6 {
      var here = sockaddr_in6()
      here.sin6_family = sa_family_t(AF_INET6)
      here.sin6_port = in_port_t(port).bigEndian
      here.sin6_scope_id = address.scope
      withUnsafeMutableBytes(of: &here.sin6_addr) { $0.copyBytes(from: address.bytes.count == 16 ? address.bytes : [UInt8](repeating: 0, count: 16)) }
      return call(here)
    }
    var here = sockaddr_in()
    here.sin_family = sa_family_t(AF_INET)
    here.sin_port = in_port_t(port).bigEndian
    withUnsafeMutableBytes(of: &here.sin_addr) { $0.copyBytes(from: address.bytes) }
    return call(here)
  }
}

/// Where a test sends.
struct TestAddress: Sendable {
  let bytes: [UInt8]
  /// The interface of a link-local IPv6 address.
  var scope: UInt32 = 0

  static let any = TestAddress(bytes: [0, 0, 0, 0])
  static let broadcast = TestAddress(bytes: [255, 255, 255, 255])
  static func ip(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> TestAddress { TestAddress(bytes: [a, b, c, d]) }
  var network: NetworkAddress? { NetworkAddress(bytes: bytes) }
}
