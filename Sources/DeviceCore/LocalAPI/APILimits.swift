/// Every limit of the local API in one place. Each number bounds memory or time that a peer can make the device spend.
public struct APILimits: Sendable {
  /// Request line and fields together, in bytes. A request of the operator's tool has about 300; beyond: 431.
  public var headMaximum_bytes = 8 * 1024
  /// A head has at most this many fields. Browsers send about 20; beyond: 431.
  public var fieldMaximumCount = 64
  /// The request target, in bytes. The longest of the API has about 60; beyond: 414.
  public var targetMaximum_bytes = 1024
  /// A request body, in bytes: two certificate chains fit. Beyond: 413.
  public var bodyMaximum_bytes = 16 * 1024
  /// How deep arrays and objects may nest. The API's own bodies have depth 1.
  public var jsonMaximumDepth = 16
  /// From the first byte of a head to its last; then 408.
  public var headDeadline_ms: Int64 = 10_000
  /// From the end of a head to the end of its body; then 408.
  public var bodyDeadline_ms: Int64 = 10_000
  /// From one answer to the next request; then the connection is closed.
  public var idleDeadline_ms: Int64 = 60_000
  /// For the peer to take an answer that is ready, and for a stream to take anything at all; then the connection is closed.
  public var stallDeadline_ms: Int64 = 60_000
  /// A comment is sent on a stream this often, so that both sides see that the other lives.
  public var streamKeepAlive_ms: Int64 = 15_000
  /// What waits for a slow reader of a stream; one more, and the connection is closed. A backlog of the whole log ring fits.
  public var streamQueueMaximumEvents = 1_024
  /// The bytes that wait for a slow reader of a stream.
  public var streamQueueMaximum_bytes = 256 * 1024
  /// After a refusal the connection stays this long, its input thrown away, so that the peer can read why before it sees a reset.
  public var linger_ms: Int64 = 1_000

  public init() {}
}
