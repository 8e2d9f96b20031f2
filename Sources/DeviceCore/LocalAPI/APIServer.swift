public import NIOCore

/// The local API, version 1: turns a channel of plain bytes (above TLS) into one that serves it.
public struct APIServer: Sendable {
  private let router: Router

  public init(service: any DeviceService, limits: APILimits = APILimits()) {
    router = Router(service: service, limits: limits)
  }

  /// Adds the API at the end of the channel's pipeline. Call on the channel's event loop.
  ///
  /// - Parameters:
  ///   - connection: a number that no other connection of this runtime has.
  ///   - binding: names the connection, as TLS exports it; asked for on the event loop where an endpoint is bound to its connection. Empty where it
  ///     cannot be had, and then nothing that is bound succeeds.
  ///   - caller: judges whom the connection belongs to; asked on every request and every event of a stream, also on resumed sessions.
  public func configure(
    _ channel: any Channel, connection: UInt64, binding: @escaping () -> [UInt8], caller: @escaping @Sendable () -> CallerDecision
  ) throws {
    try channel.pipeline.syncOperations.addHandlers([
      RequestDecoder(limits: router.limits),
      APISession(router: router, connection: connection, binding: binding, caller: caller),
    ])
  }
}
