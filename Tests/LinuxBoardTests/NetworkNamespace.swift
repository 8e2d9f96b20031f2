import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// What a thread shall do.
private final class ThreadJob: Sendable {
  let work: @Sendable () -> Void
  init(_ work: @escaping @Sendable () -> Void) { self.work = work }
}

/// What came of it. Written by the thread, read after it ended: never by two at once.
private final class ThreadOutcome<Value: Sendable>: @unchecked Sendable {
  var value: Result<Value, any Error>?
}

/// A network of the test's own: this thread in one namespace with `eth0`, and the far end of its cable, `far0`, in another.
///
/// A namespace belongs to a thread, so a test's work runs on a thread that is made for it and ends with it.
final class NetworkNamespace {
  /// The far end's interface has this index; the test gives it.
  static let farIndex: UInt32 = 77
  private static let nearIndex: UInt32 = 76
  static let farAddress: UInt32 = 0x0a00_0202  // 10.0.2.2

  /// A conversation about the far end.
  let farRoutes: NetlinkSocket
  /// A UDP socket of the far end.
  private let farSocket: OwnedDescriptor

  /// Both namespaces, to go to and fro.
  private let near: OwnedDescriptor
  private let far: OwnedDescriptor

  private static let unshare = hiddenCall("unshare", as: (@convention(c) (CInt) -> CInt).self)
  private static let setns = hiddenCall("setns", as: (@convention(c) (CInt, CInt) -> CInt).self)
  private static let newNetwork: CInt = 0x4000_0000  // CLONE_NEWNET
  private static let newHostName: CInt = 0x0400_0000  // CLONE_NEWUTS

  /// Why no network can be made here; empty where one can. It is tried.
  private static let obstacle: String = {
    do {
      // No more than this: what fails behind it is a fault to be seen, and no reason to skip.
      return try onThread {
        try enter()
        return ""
      }
    } catch {
      return "\(error)"
    }
  }()

  static let isAvailable = obstacle.isEmpty
  static let whyNot: Comment = "needs root and a kernel with network namespaces: \(obstacle)"

  /// Runs `body` on a thread of its own, inside a new network.
  static func run<Value: Sendable>(_ body: @escaping @Sendable (NetworkNamespace) throws -> Value) throws -> Value {
    try onThread { try body(NetworkNamespace()) }
  }

  private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
    let outcome = ThreadOutcome<Value>()
    let job = ThreadJob { outcome.value = Result { try body() } }
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<ThreadJob>.fromOpaque(argument).takeRetainedValue().work()
        return nil
      }, Unmanaged.passRetained(job).toOpaque())
    guard status == 0 else { throw SystemCallError("pthread_create", number: status, subject: "test network") }
    pthread_join(thread, nil)
    guard let value = outcome.value else { throw SystemCallError("pthread_join", number: ECANCELED, subject: "test network") }
    return try value.get()
  }

  private init() throws {
    try Self.enter()
    // These stay in the first namespace, which becomes the far end's, when the thread goes on to the next.
    farRoutes = try NetlinkSocket(.route, groups: 0, code: "network-failed")
    farSocket = OwnedDescriptor(adopting: socket(AF_INET, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    far = OwnedDescriptor(adopting: open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC))
    try Self.enter()
    near = OwnedDescriptor(adopting: open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC))
    try NetlinkSocket(.route, groups: 0, code: "network-failed").request(Self.makeCable(farNamespace: far.number), subject: "a cable")
    try farRoutes.request(
      RouteRequest.replaceAddress(index: Self.farIndex, address: Self.farAddress, prefixLength: 24), subject: "the far end's address")
    try setFarUp(true)
    try prepareFarSocket()
  }

  private static func enter() throws {
    guard let unshare, unshare(newNetwork | newHostName) == 0 else {
      throw SystemCallError("unshare", number: errno, subject: "CLONE_NEWNET")
    }
  }

  /// A veth pair: `eth0` here, `far0` in another namespace.
  private static func makeCable(farNamespace: CInt) -> NetlinkEncoder {
    var peer = NetlinkEncoder(type: 0, flags: [])
    RouteRequest.appendLinkHeader(to: &peer, index: farIndex, flags: 0, change: 0)
    peer.append(attribute: 3, text: "far0")  // IFLA_IFNAME
    peer.append(attribute: 28, NetlinkEncoder.littleEndian(UInt32(farNamespace)))  // IFLA_NET_NS_FD
    var data = NetlinkEncoder(type: 0, flags: [])
    data.append(attribute: 1, body(of: peer))  // VETH_INFO_PEER
    var information = NetlinkEncoder(type: 0, flags: [])
    information.append(attribute: 1, text: "veth")  // IFLA_INFO_KIND
    information.append(attribute: 2, body(of: data))  // IFLA_INFO_DATA
    var message = NetlinkEncoder(type: RouteMessageType.newLink, flags: [.request, .acknowledge, .create, .exclusive])
    // The kernel gives the far end the index that was asked for only where this end asks for one too.
    RouteRequest.appendLinkHeader(to: &message, index: nearIndex, flags: 0, change: 0)
    message.append(attribute: 3, text: "eth0")
    message.append(attribute: 18, body(of: information))  // IFLA_LINKINFO
    return message
  }

  /// What an encoder wrote behind its header.
  private static func body(of encoder: NetlinkEncoder) -> [UInt8] { Array(encoder.message(sequence: 0).dropFirst(16)) }

  /// Does something at the far end: a socket stays where it was made.
  func inFar<Value>(_ body: () throws -> Value) throws -> Value {
    guard let setns = Self.setns, setns(far.number, Self.newNetwork) == 0 else {
      throw SystemCallError("setns", number: errno, subject: "the far end")
    }
    let result = Result { try body() }
    guard setns(near.number, Self.newNetwork) == 0 else { throw SystemCallError("setns", number: errno, subject: "the near end") }
    return try result.get()
  }

  /// Plugs the cable in at the far end, or pulls it out.
  func setFarUp(_ up: Bool) throws {
    var message = NetlinkEncoder(type: RouteMessageType.newLink, flags: [.request, .acknowledge])
    RouteRequest.appendLinkHeader(to: &message, index: Self.farIndex, flags: up ? 1 : 0, change: 1)
    try farRoutes.request(message, subject: "the far end's link")
  }

  private func prepareFarSocket() throws {
    var on: CInt = 1
    var here = sockaddr_in()
    here.sin_family = sa_family_t(AF_INET)
    here.sin_port = in_port_t(67).bigEndian
    here.sin_addr.s_addr = Self.farAddress.bigEndian
    let isReady =
      setsockopt(farSocket.number, SOL_SOCKET, SO_BROADCAST, &on, 4) == 0
      && setsockopt(farSocket.number, SOL_SOCKET, SO_BINDTODEVICE, "far0", 4) == 0
      && withUnsafePointer(to: &here) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(farSocket.number, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
      }
    guard isReady else { throw SystemCallError("bind", number: errno, subject: "the far end's UDP socket") }
  }

  /// Sends a datagram from the far end's port 67 to everybody's port 68, as a DHCP server does.
  func broadcast(_ text: String) throws {
    var everybody = sockaddr_in()
    everybody.sin_family = sa_family_t(AF_INET)
    everybody.sin_port = in_port_t(68).bigEndian
    everybody.sin_addr.s_addr = UInt32.max
    let bytes = Array(text.utf8)
    let sent = withUnsafePointer(to: &everybody) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(farSocket.number, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard sent == bytes.count else { throw SystemCallError("sendto", number: errno, subject: "the far end's UDP socket") }
  }
}

/// The next datagram of a socket as text; nil where none came within `patience_ms`.
func nextDatagram(_ socket: CInt, patience_ms: CInt = 60_000) -> String? {
  var waiting = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
  guard poll(&waiting, 1, patience_ms) == 1 else { return nil }
  var bytes = [UInt8](repeating: 0, count: 1500)
  let count = recv(socket, &bytes, bytes.count, 0)
  return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
}

/// The text of a file of the kernel's.
func kernelFile(_ path: String) -> String {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { return "" }
  let file = OwnedDescriptor(adopting: number)
  var text: [UInt8] = []
  var bytes = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = read(file.number, &bytes, bytes.count)
    guard count > 0 else { return String(decoding: text, as: UTF8.self) }
    text += bytes.prefix(count)
  }
}

/// The default routes of this thread's network, as (interface, router), read from /proc and not by netlink.
func defaultRoutes() -> [String] {
  kernelFile("/proc/thread-self/net/route").split(separator: "\n").dropFirst().compactMap { line in
    let fields = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
    // Interface, destination, gateway, flags …, mask is the eighth; numbers in the machine's byte order.
    guard fields.count >= 8, fields[1] == "00000000", fields[7] == "00000000" else { return nil }
    return "\(fields[0]) \(fields[2])"
  }
}

/// The IPv4 addresses of this thread's network but the loopback's, as /proc lists them.
func localAddresses() -> Set<String> {
  var addresses: Set<String> = []
  var last: Substring = ""
  for line in kernelFile("/proc/thread-self/net/fib_trie").split(separator: "\n") {
    let words = line.split(separator: " ")
    if words.first == "|--", words.count == 2 { last = words[1] }
    if words.first == "/32", words.contains("LOCAL"), last != "127.0.0.1" { addresses.insert(String(last)) }
  }
  return addresses
}
