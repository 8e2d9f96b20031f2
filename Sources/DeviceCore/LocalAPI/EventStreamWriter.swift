import NIOCore

/// Writes a server-sent event stream to one connection, no faster than its reader takes it.
///
/// What the socket does not take waits here, bounded; when the bound is reached, the reader is too slow and the connection is closed.
/// Lives on the connection's event loop.
final class EventStreamWriter {
  private let limits: APILimits
  private var waiting = CircularBuffer<ByteBuffer>()
  private var waiting_bytes = 0
  /// Written and not flushed yet.
  private var unflushed_bytes = 0
  /// What is flushed in one piece: as much as a TLS record holds.
  private static let flushed_bytes = 16_384
  /// Set while the socket takes nothing.
  private var stalledSince: NIODeadline?

  init(limits: APILimits) { self.limits = limits }

  /// Writes events that came together, in as few pieces as they fit. Returns false where the reader is too slow.
  func offer(_ events: [StreamEvent], context: ChannelHandlerContext) -> Bool {
    for event in events {
      guard send(event.frame, context: context) else { return false }
      if unflushed_bytes >= Self.flushed_bytes { flush(context) }
    }
    flush(context)
    return true
  }

  /// Returns false where the reader has taken nothing for too long.
  func keepAlive(context: ChannelHandlerContext) -> Bool {
    if let stalledSince, context.eventLoop.now - stalledSince > .milliseconds(limits.stallDeadline_ms) { return false }
    // A reader that is behind already has something to read.
    guard waiting.isEmpty else { return true }
    var bytes = context.channel.allocator.buffer(capacity: 32)
    bytes.writeChunk(": keep-alive\n\n")
    guard send(bytes, context: context) else { return false }
    flush(context)
    return true
  }

  /// The socket takes bytes again, or stopped taking them.
  func writabilityChanged(context: ChannelHandlerContext) {
    stalledSince = context.channel.isWritable ? nil : context.eventLoop.now
    while context.channel.isWritable, let bytes = waiting.popFirst() {
      waiting_bytes -= bytes.readableBytes
      write(bytes, context: context)
      // One by one: what the socket takes is seen only after a flush.
      flush(context)
    }
  }

  private func send(_ bytes: ByteBuffer, context: ChannelHandlerContext) -> Bool {
    if context.channel.isWritable && waiting.isEmpty {
      write(bytes, context: context)
      return true
    }
    guard waiting.count < limits.streamQueueMaximumEvents, waiting_bytes + bytes.readableBytes <= limits.streamQueueMaximum_bytes else {
      return false
    }
    waiting.append(bytes)
    waiting_bytes += bytes.readableBytes
    return true
  }

  private func write(_ bytes: ByteBuffer, context: ChannelHandlerContext) {
    unflushed_bytes += bytes.readableBytes
    context.write(NIOAny(AnswerPart.part(bytes)), promise: nil)
  }

  private func flush(_ context: ChannelHandlerContext) {
    guard unflushed_bytes > 0 else { return }
    unflushed_bytes = 0
    context.flush()
  }
}
