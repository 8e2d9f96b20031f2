internal import NIOConcurrencyHelpers

/// Whom to ask for names. There is no search list: every name that the device looks up is fully qualified, so that no network can
/// complete it with a suffix of its own choice.
public struct ResolverConfiguration: Hashable, Sendable {
  /// The most resolvers that are kept: as many as the C library reads from `resolv.conf` (MAXNS).
  public static let maximumResolvers = 3
  /// In order of preference; at most 3.
  public let resolvers: [IPv4Address]

  /// - Parameter resolvers: more than 3 are cut, doubles and addresses that no host can have are left out.
  public init(resolvers: [IPv4Address]) {
    var kept: [IPv4Address] = []
    for resolver in resolvers where resolver.isUsableByHost && !kept.contains(resolver) && kept.count < Self.maximumResolvers {
      kept.append(resolver)
    }
    self.resolvers = kept
  }

  /// No resolver is known: names cannot be looked up.
  public static let none = ResolverConfiguration(resolvers: [])
}

/// Where the current resolver configuration is kept: in memory, because the image has no writable `/etc` and because what one
/// network said must not outlive the connection to it.
public final class ResolverStore: Sendable {
  private let value = NIOLockedValueBox(ResolverConfiguration.none)

  public init() {}

  /// The configuration as it is now; from any thread.
  public var current: ResolverConfiguration { value.withLockedValue { $0 } }

  /// Replaces the configuration; from any thread.
  public func set(_ configuration: ResolverConfiguration) { value.withLockedValue { $0 = configuration } }
}
