import Glibc
import Testing

@testable import LinuxProcess

@Suite("The packet socket")
struct PacketSocketTests {
  @Test("packets arrive whole, in order, and a long one shows that it is")
  func packets() throws {
    let (own, handed) = try PacketSocket.makePair()
    let other = PacketSocket(taking: handed)
    #expect(own.receive(maximum: 8) == .empty)
    #expect(other.send([1, 2, 3]) == .sent)
    #expect(other.send([UInt8](repeating: 9, count: 100)) == .sent)
    #expect(own.receive(maximum: 8) == .packet([1, 2, 3]))
    #expect(own.receive(maximum: 8) == .packet([UInt8](repeating: 9, count: 9)))
    #expect(own.receive(maximum: 8) == .empty)
  }

  @Test("a reader that does not read never makes the writer wait")
  func full() throws {
    let (own, handed) = try PacketSocket.makePair()
    let other = PacketSocket(taking: handed)
    let packet = [UInt8](repeating: 1, count: 256)
    var sent = 0
    while own.send(packet) == .sent, sent < 100_000 { sent += 1 }
    #expect((16..<100_000).contains(sent))
    #expect(other.receive(maximum: 256) == .packet(packet))
    #expect(own.send(packet) == .sent)
  }

  @Test("an end that is gone is closed, for sending and for receiving, without SIGPIPE")
  func closed() throws {
    let (own, handed) = try PacketSocket.makePair()
    close(handed)
    #expect(own.send([1]) == .closed)
    #expect(own.receive(maximum: 8) == .closed)
  }

  @Test("who made the pair is known, and nothing else is taken for one")
  func maker() throws {
    let (own, handed) = try PacketSocket.makePair()
    defer { close(handed) }
    #expect(PacketSocket.maker(of: own.descriptor) == getpid())
    #expect(PacketSocket.maker(of: handed) == getpid())
    var stream: [CInt] = [-1, -1]
    try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &stream) == 0)
    defer { for end in stream { close(end) } }
    #expect(PacketSocket.maker(of: stream[0]) == nil)
    let file = open("/dev/null", O_RDONLY)
    defer { close(file) }
    #expect(PacketSocket.maker(of: file) == nil)
    #expect(PacketSocket.maker(of: -1) == nil)
  }
}
