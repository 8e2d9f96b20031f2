import Foundations
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

/// One connection to a peer, for one task: requests go one after the other.
final class PeerConnection {
  /// TCP and the handshake together.
  static let connectDeadline_ms: Int64 = 10_000
  /// One whole answer.
  static let answerDeadline_ms: Int64 = 10_000
  /// An answer has some 300 bytes.
  static let answerMaximum_bytes = 8 * 1024
  static let answerMaximumDepth = 4

  private typealias Part = HTTPClientResponsePart
  private var inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
  private let outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
  private let channel: any Channel
  private let authority: String

  private init(
    inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator, outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>,
    channel: any Channel, authority: String
  ) {
    self.inbound = inbound
    self.outbound = outbound
    self.channel = channel
    self.authority = authority
  }

  /// Connects, runs `body`, and closes. Cancelling the task ends the connection.
  ///
  /// - Throws: `PeerLinkError`, and what `body` throws as that.
  static func with(
    _ destination: PeerDestinations.Destination, tls: TLSClientContext, group: any EventLoopGroup, _ body: (PeerConnection) async throws -> Void
  ) async throws(PeerLinkError) {
    let opened: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>
    do {
      let address = try SocketAddress(ipAddress: destination.address.description, port: Int(destination.port))
      opened = try await ClientBootstrap(group: group)
        .connectTimeout(.milliseconds(connectDeadline_ms))
        .connect(to: address) { channel in
          channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(TLSHandler(client: tls, handshakeDeadline: .milliseconds(connectDeadline_ms)))
            try pipeline.addHTTPClientHandlers()
            return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
          }
        }
    } catch {
      throw PeerLinkError(code: "peer-unreachable", reason: "there is no connection to \(destination)", cause: error)
    }
    var failure: (any Error)?
    do {
      try await opened.executeThenClose { inbound, outbound in
        let connection = PeerConnection(
          inbound: inbound.makeAsyncIterator(), outbound: outbound, channel: opened.channel, authority: destination.description)
        do {
          try await body(connection)
        } catch {
          failure = error
        }
      }
    } catch {
      // What came first is the reason.
      failure = failure ?? error
    }
    if let failure { throw PeerLinkError.of(failure) }
  }

  /// Asks for a document; nil where there is none at `target`.
  func get<Document: Decodable>(_ type: Document.Type, _ target: String) async throws -> Document? {
    let isLate = NIOLockedValueBox(false)
    let channel = channel
    let deadline = channel.eventLoop.scheduleTask(in: .milliseconds(Self.answerDeadline_ms)) {
      isLate.withLockedValue { $0 = true }
      channel.close(promise: nil)
    }
    defer { deadline.cancel() }
    do {
      let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target, headers: ["Host": authority, "Accept": "application/json"])
      try await outbound.write(.head(head))
      try await outbound.write(.end(nil))
      return try decode(type, try await answer(), target)
    } catch {
      guard isLate.withLockedValue({ $0 }) else { throw error }
      throw PeerLinkError(code: "peer-silent", reason: "no answer to GET \(target) within \(Self.answerDeadline_ms / 1_000) s")
    }
  }

  private func answer() async throws -> (status: Int, body: [UInt8]) {
    var status: Int?
    var body: [UInt8] = []
    var iterator = inbound
    while let part = try await iterator.next() {
      switch part {
      case .head(let head): status = Int(head.status.code)
      case .body(let bytes):
        guard body.count + bytes.readableBytes <= Self.answerMaximum_bytes else {
          throw PeerLinkError(code: "peer-answer", reason: "its answer has more than \(Self.answerMaximum_bytes) bytes")
        }
        body += bytes.readableBytesView
      case .end:
        guard let status else { throw PeerLinkError(code: "peer-answer", reason: "its answer has no head") }
        return (status, body)
      }
    }
    throw PeerLinkError(code: "peer-lost", reason: "the peer closed the connection")
  }

  private func decode<Document: Decodable>(_ type: Document.Type, _ answer: (status: Int, body: [UInt8]), _ target: String) throws(PeerLinkError) -> Document? {
    let path = target.prefix { $0 != "?" }
    switch answer.status {
    case 200: break
    case 404: return nil
    case 403: throw PeerLinkError(code: "peer-refused", reason: "the peer does not let this device in any more")
    case 409: throw PeerLinkError(code: "peer-incompatible", reason: "the peer finds no common part of the protocol")
    default: throw PeerLinkError(code: "peer-answer", reason: "it answers GET \(path) with the status \(answer.status)")
    }
    guard let document = try? jsonDocument(type, from: answer.body, maximumDepth: Self.answerMaximumDepth) else {
      throw PeerLinkError(code: "peer-answer", reason: "what it answers to GET \(path) cannot be read")
    }
    return document
  }
}
