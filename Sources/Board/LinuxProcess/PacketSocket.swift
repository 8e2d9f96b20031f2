internal import CHaechi
public import Foundations
internal import Glibc

/// One end of a `SOCK_SEQPACKET` pair: whole packets, in order, and no call waits.
public final class PacketSocket {
  public enum SendOutcome: Sendable, Equatable { case sent, full, closed }
  public enum ReceiveOutcome: Sendable, Equatable {
    case packet([UInt8])
    case empty
    case closed
  }

  public let descriptor: CInt

  /// Takes over `descriptor`; it is closed with this object.
  public init(taking descriptor: CInt) { self.descriptor = descriptor }
  deinit { close(descriptor) }

  /// The supervisor's end, and the descriptor to hand to the runtime, which the caller closes after the start.
  public static func makePair() throws(SystemCallError) -> (own: PacketSocket, handed: CInt) {
    var pair: [CInt] = [-1, -1]
    try check(haechi_packet_pair(&pair), "socketpair", "of supervisor and runtime")
    return (PacketSocket(taking: pair[0]), pair[1])
  }

  /// The process that made the pair of which `descriptor` is one end; nil where it is no such socket.
  public static func maker(of descriptor: CInt) -> Int32? {
    var peer: pid_t = 0
    return haechi_packet_peer(descriptor, &peer) == 0 ? peer : nil
  }

  public func send(_ packet: [UInt8]) -> SendOutcome {
    while true {
      let count = Glibc.send(descriptor, packet, packet.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL))
      if count >= 0 { return .sent }
      switch errno {
      case EINTR: continue
      case EAGAIN, ENOBUFS, ENOMEM: return .full
      default: return .closed
      }
    }
  }

  /// The next packet. One that is longer than `maximum` bytes comes as its first `maximum` + 1, so that it shows as oversized.
  /// An empty packet cannot be told from the end of the stream, and nobody sends one: both are `.closed`.
  public func receive(maximum: Int) -> ReceiveOutcome {
    var buffer = [UInt8](repeating: 0, count: max(maximum, 0) &+ 1)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT))
      if count > 0 { return .packet(Array(buffer.prefix(count))) }
      if count == 0 { return .closed }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .empty
      default: return .closed
      }
    }
  }
}
