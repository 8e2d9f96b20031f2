internal import BoardAPI
internal import CHaechi
internal import Foundations
internal import Glibc

/// A conversation with a part of the kernel.
final class NetlinkSocket {
  /// Whom to speak with (linux/netlink.h).
  enum Family: CInt {
    /// Links, addresses and routes.
    case route = 0
    /// The packet filter.
    case netfilter = 12
  }

  /// The kernel's own bound on one datagram of a dump (NLMSG_GOODSIZE is below it).
  private static let datagram_bytes = 32_768
  /// Datagrams read for one answer or one round of events. A device has a handful of addresses and one link.
  private static let maximumDatagrams = 64

  private let socket: OwnedDescriptor
  /// Of the errors.
  private let code: String
  private let patience_ms: UInt64
  private var sequence: UInt32 = 0
  /// For `poll`.
  var descriptor: CInt { socket.number }

  /// - Parameters:
  ///   - groups: bits of what to hear unasked (for `.route` RTMGRP_…); 0 for questions only.
  ///   - code: of the errors that it throws.
  ///   - patience_ms: the longest wait for an answer. The kernel answers before send(2) returns, so it is never used up; it bounds what a
  ///     broken kernel can cost PID 1.
  init(_ family: Family, groups: UInt32, code: String, patience_ms: UInt64 = 1_000) throws(BoardError) {
    let number = haechi_netlink_socket(family.rawValue, groups)
    guard number >= 0 else { throw .system(code: code, call: "socket", subject: "AF_NETLINK, \(family)", number: errno) }
    socket = OwnedDescriptor(adopting: number)
    self.code = code
    self.patience_ms = patience_ms
  }

  /// Sends a request and returns what the kernel answered, without the acknowledgement.
  /// - Parameters:
  ///   - subject: what it is about, for the error: `eth0: address`.
  ///   - tolerated: errno values that count as success, because they say that there was nothing to do.
  @discardableResult
  func request(_ request: NetlinkEncoder, subject: String, tolerated: Set<Int32> = []) throws(BoardError) -> [NetlinkMessage] {
    sequence &+= 1
    let bytes = request.message(sequence: sequence)
    guard haechi_netlink_send(socket.number, bytes, bytes.count) == bytes.count else {
      throw .system(code: code, call: "send", subject: subject, number: errno)
    }
    var answers: [NetlinkMessage] = []
    let deadline_ms = BootClock.now_ms() + patience_ms
    for _ in 0..<Self.maximumDatagrams {
      guard try waitUntil(deadline_ms), let messages = try receive(subject: subject) else { continue }
      // What answers an older request (one that ran out of patience) is not for us.
      for message in messages where message.sequence == sequence {
        if message.type == NetlinkMessageType.done { return answers }
        guard message.type == NetlinkMessageType.error else {
          answers.append(message)
          continue
        }
        guard let verdict = NetlinkVerdict(message) else { throw malformed(subject) }
        if verdict.number == 0 || tolerated.contains(verdict.number) { return answers }
        let words = verdict.text.isEmpty ? systemErrorMessage(verdict.number) : "\(systemErrorMessage(verdict.number)) (\(verdict.text))"
        throw BoardError(code: code, reason: "\(subject): the kernel refused it: \(words)")
      }
    }
    throw BoardError(code: code, reason: "\(subject): the kernel did not answer within \(patience_ms) ms")
  }

  /// Takes and drops what the kernel said unasked: it only says that something changed.
  func drain() throws(BoardError) {
    for _ in 0..<Self.maximumDatagrams {
      guard try receive(subject: "link events") != nil else { return }
    }
  }

  /// The messages of one datagram from the kernel; nil where there is none, or where it came from someone else.
  private func receive(subject: String) throws(BoardError) -> [NetlinkMessage]? {
    var buffer = [UInt8](repeating: 0, count: Self.datagram_bytes)
    var isFromKernel: CInt = 0
    let count = haechi_netlink_receive(socket.number, &buffer, buffer.count, &isFromKernel)
    if count < 0 {
      // ENOBUFS: events were lost. Nothing is: who drains asks for the state afterwards.
      guard errno == EAGAIN || errno == ENOBUFS else { throw .system(code: code, call: "recv", subject: subject, number: errno) }
      return nil
    }
    guard isFromKernel != 0 else { return [] }
    guard count <= buffer.count, let messages = NetlinkMessage.parse(Array(buffer.prefix(count))) else { throw malformed(subject) }
    return messages
  }

  private func waitUntil(_ deadline_ms: UInt64) throws(BoardError) -> Bool {
    let now_ms = BootClock.now_ms()
    var waiting = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
    return poll(&waiting, 1, CInt(deadline_ms > now_ms ? deadline_ms - now_ms : 0)) == 1
  }

  private func malformed(_ subject: String) -> BoardError {
    BoardError(code: code, reason: "\(subject): the kernel's answer is not a netlink message")
  }
}
