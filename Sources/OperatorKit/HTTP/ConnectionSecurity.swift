internal import Crypto
internal import Foundations
internal import NIOCore
internal import TLS

/// What protects a connection, and whom it expects at the other end.
public struct ConnectionSecurity: Sendable {
  /// Adds TLS to a fresh channel.
  let install: @Sendable (any Channel) throws -> Void
  /// True only in tests of what lies above TLS.
  let isPlain: Bool
  /// Whom the connection is for, as an error should say it: `device attic (0123…)`.
  let peerName: String

  init(install: @escaping @Sendable (any Channel) throws -> Void, isPlain: Bool, peerName: String) {
    self.install = install
    self.isPlain = isPlain
    self.peerName = peerName
  }

  /// No protection: for tests of what lies above TLS.
  static let plain = ConnectionSecurity(install: { _ in }, isPlain: true, peerName: "a device without TLS")

  /// TLS 1.3 with `credential` as ours.
  ///
  /// - Parameters:
  ///   - trust: how the device is known.
  ///   - serverName: a DNS name to ask for in the clear; nil for none.
  ///   - policy: a further look at its certificate.
  /// - Throws: `bad-argument` when OpenSSL takes none of it.
  init(
    credential: Credential, trust: ServerTrust, peerName: String, clock: WallClock = WallClock(floor_s: 0), serverName: String? = nil,
    policy: @escaping CertificatePolicy
  ) throws(OperatorError) {
    let context: TLSClientContext
    do {
      // A command makes one or two connections and ends: there is nothing to resume.
      context = try TLSClientContext(
        chain: credential.chain, key: credential.key, trust: trust, policy: policy, clock: clock, serverName: serverName,
        remembersSessions: false)
    } catch {
      throw OperatorError("file-malformed", "the certificate \(credential.name) cannot be used for TLS", cause: error)
    }
    self.init(
      install: { channel in
        // Our own watch has the deadline that speaks to people; this one is only behind it.
        try channel.pipeline.syncOperations.addHandler(TLSHandler(client: context, handshakeDeadline: .seconds(60)))
      }, isPlain: false, peerName: peerName)
  }
}

/// A certificate, those above it, and its key.
struct Credential: Sendable {
  /// Leaf first; empty to show none.
  let chain: [Certificate]
  /// Nil where there is no certificate.
  let key: PrivateKey?
  /// The file that it came from, or what it is, for errors.
  let name: String
}
