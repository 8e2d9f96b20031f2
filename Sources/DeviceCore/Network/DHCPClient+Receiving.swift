internal import Foundations

extension DHCPClient {
  /// Whether an answer to `transaction` is awaited.
  private var isWaiting: Bool {
    switch state {
    case .selecting, .requesting, .rebooting, .renewing, .rebinding: true
    case .down, .initializing, .bound: false
    }
  }

  /// The only server that may answer now, or nil where any may.
  private var expectedServer: IPv4Address? {
    switch state {
    case .requesting: offer?.server
    case .renewing: lease?.server
    default: nil
    }
  }

  /// The only address that may be acknowledged now.
  private var expectedAddress: IPv4Address? { state == .requesting ? offer?.address : lease?.address }

  mutating func receive(_ bytes: [UInt8], _ now_ms: UInt64, _ outputs: inout [Output]) {
    // Other hosts' exchanges are broadcast too: what is not for us is no event.
    guard isWaiting else { return }
    let message: DHCPMessage
    do {
      message = try DHCPMessage(parsing: bytes)
    } catch {
      return refuse(error.reason, &outputs)
    }
    guard message.operation == .reply, message.transaction == transaction, message.hardwareType == 1,
      message.hardwareAddress == configuration.hardwareAddress
    else { return }

    switch (message.type, state) {
    case (.offer, .selecting): receiveOffer(message, now_ms, &outputs)
    case (.offer, _): break  // A second server's, or a double: RFC 2131 section 3.1 step 4 wants it dropped.
    case (.ack, .selecting), (.nak, .selecting): break  // Nothing was requested yet.
    case (.ack, _): receiveAcknowledgement(message, now_ms, &outputs)
    case (.nak, _): receiveRefusal(message, now_ms, &outputs)
    default: refuse("its message type (option 53) is not one that a server sends", &outputs)
    }
  }

  private mutating func receiveOffer(_ message: DHCPMessage, _ now_ms: UInt64, _ outputs: inout [Output]) {
    do throws(DHCPLeasePolicy.Refusal) {
      let verdict = try DHCPLeasePolicy.judge(message, start_ms: now_ms)
      outputs.append(.log(.info, "\(verdict.lease.server) offers \(verdict.lease.address)/\(verdict.lease.prefixLength)"))
      requestOffer(verdict.lease, now_ms, &outputs)
    } catch {
      refuse("an offer: \(error.reason)", &outputs)
    }
  }

  private mutating func receiveAcknowledgement(_ message: DHCPMessage, _ now_ms: UInt64, _ outputs: inout [Output]) {
    do throws(DHCPLeasePolicy.Refusal) {
      let verdict = try DHCPLeasePolicy.judge(message, start_ms: requestTime_ms)
      let new = verdict.lease
      if let expectedServer, new.server != expectedServer {
        return refuse("an acknowledgement by \(new.server), while \(expectedServer) was asked", &outputs)
      }
      guard new.address == expectedAddress else {
        return refuse("an acknowledgement of \(new.address), while \(expectedAddress ?? .unspecified) was asked for", &outputs)
      }
      guard new.end_ms > now_ms else { return refuse("an acknowledgement of a lease that is over already", &outputs) }
      outputs += verdict.remarks.map { .log(.notice, $0) }
      bind(new, &outputs)
    } catch {
      refuse("an acknowledgement: \(error.reason)", &outputs)
    }
  }

  private mutating func receiveRefusal(_ message: DHCPMessage, _ now_ms: UInt64, _ outputs: inout [Output]) {
    // RFC 2131 table 3: the server identifier is a must in a NAK too.
    guard let server = message.address(DHCPOptionCode.serverIdentifier) else {
      return refuse("a NAK that names no server (option 54)", &outputs)
    }
    if let expectedServer, server != expectedServer {
      return refuse("a NAK by \(server), while \(expectedServer) was asked", &outputs)
    }
    let words = message.serverWords.map { ": \"\($0)\"" } ?? ""
    outputs.append(.log(.warning, "\(server) refuses \(expectedAddress ?? .unspecified)\(words); starting over"))
    offer = nil
    giveUp(now_ms, &outputs)
  }
}

extension RandomNumberGenerator {
  /// 32 random bits, as an `xid` needs them.
  mutating func next() -> UInt32 { UInt32(truncatingIfNeeded: next() as UInt64 >> 32) }
}
