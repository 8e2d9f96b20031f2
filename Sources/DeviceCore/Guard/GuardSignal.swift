/// Something that was seen and may be a sign of an attack. One signal proves nothing: detectors judge how many there are.
public enum GuardSignal: Sendable, Hashable {
  /// A handshake or a request was refused because of who asked. Anyone on the network can bring this about.
  ///
  /// `peer`: the numeric address, without a port, as it is given to `Guard.isOver` too. `reason`: the code of the refusal, as
  /// `certificate-expired`. `at_ms`: milliseconds since the kernel started.
  case authenticationRefused(peer: String, reason: String, at_ms: UInt64)

  /// When it was seen, milliseconds since the kernel started.
  public var at_ms: UInt64 {
    switch self {
    case .authenticationRefused(_, _, let at_ms): at_ms
    }
  }
}
