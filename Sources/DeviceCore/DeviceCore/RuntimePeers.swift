import Foundations

extension Runtime {
  /// How often a renewal on trial is looked at; its trial lasts ten minutes.
  static let renewalCheck_ms: Int64 = 5_000

  /// Wires the peers with who comes, what the supervisor says, and who is connected.
  func connectPeers(_ peerDesk: PeerDesk, _ listener: APIListener, _ inbox: Inbox) {
    inbox.followPeers(peerDesk.declared)
    listener.onPeer(peerDesk.arrived)
    peerDesk.onWithdrawal { listener.review() }
  }

  /// Peers that do not answer are looked for among the neighbours, where the owner lets the device speak to them.
  func connectSearch(_ peerDesk: PeerDesk, _ discoveryDesk: DiscoveryDesk) {
    peerDesk.onMissing(discoveryDesk.seek)
    discoveryDesk.onSighting(peerDesk.sighted)
    discoveryDesk.onPlace(peerDesk.forgetFound)
  }

  /// Ends renewals that nobody proved.
  func watchRenewal(_ device: Device) async -> Ending? {
    while !Task.isCancelled {
      do { try await Task.sleep(for: .milliseconds(Self.renewalCheck_ms)) } catch { return nil }
      device.checkRenewal()
    }
    return nil
  }
}
