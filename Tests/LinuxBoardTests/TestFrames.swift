import Foundations
import Glibc

/// Ethernet frames of this thread's network, below IP (packet(7)), of the type that is set aside for experiments.
final class TestFrames {
  private static let type: UInt16 = 0x88b5
  private let socket: OwnedDescriptor
  private let everything: OwnedDescriptor
  private let index: UInt32

  init(interface: String) {
    index = if_nametoindex(interface)
    socket = Self.open(SOCK_DGRAM, Self.type)
    everything = Self.open(SOCK_RAW, 3)  // ETH_P_ALL
  }

  private static func open(_ kind: __socket_type, _ type: UInt16) -> OwnedDescriptor {
    // AF_PACKET is 17.
    OwnedDescriptor(adopting: Glibc.socket(17, CInt(kind.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), CInt(type.bigEndian)))
  }

  /// To everybody. What becomes of it is seen at the other end.
  func send(_ text: String) {
    // struct sockaddr_ll: family, protocol (network order), interface, hardware type, packet type, length of the address, address.
    var there: [UInt8] = [17, 0, UInt8(Self.type >> 8), UInt8(Self.type & 255)] + (0..<4).map { UInt8(truncatingIfNeeded: index >> ($0 * 8)) }
    there += [0, 0, 0, 6] + [UInt8](repeating: 0xff, count: 6) + [0, 0]
    there.withUnsafeBytes { bytes in
      guard let address = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress else { return }
      _ = sendto(socket.number, text, text.utf8.count, 0, address, socklen_t(bytes.count))
    }
  }

  /// The texts that came since the last call.
  func received() -> [String] { Self.take(socket.number).map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }

  private var requestCount = 0
  /// How many ARP frames came to this network or left it since this was made. Who asks for everything sees a frame before the filter does.
  func requestsSeen() -> Int {
    requestCount += Self.take(everything.number).count { $0.count > 13 && $0[12...13] == [0x08, 0x06] }
    return requestCount
  }

  private static func take(_ number: CInt) -> [[UInt8]] {
    var packets: [[UInt8]] = []
    var buffer = [UInt8](repeating: 0, count: 2048)
    while true {
      let count = recv(number, &buffer, buffer.count, CInt(MSG_DONTWAIT))
      guard count >= 0 else { return packets }
      packets.append(Array(buffer.prefix(count)))
    }
  }
}
