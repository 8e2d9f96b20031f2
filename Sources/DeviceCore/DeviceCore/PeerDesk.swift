import Crypto
import Discovery
import Foundations
import Identity
import LocalAPI
import NIOConcurrencyHelpers
import NIOCore
import PeerLink
import SupervisorLink

/// What the owner's devices are to each other: takes the owner's word, answers peers within it, and keeps the link to those that have an address.
final class PeerDesk: Sendable {
  private struct State {
    /// Where the supervisor lets packets go.
    var declared = PeerDestinations.none
    var isQuiet = false
    /// One change of the list at a time.
    var isChanging = false
    var news = PeerNews()
    var withdrawn: (@Sendable () -> Void)?
    var search = PeerSearch()
  }
  private let book: PeerBook
  private let device: Device
  private let hub: DeviceHub
  private let statements: StatementDesk
  private let rules: PeerRules
  private let supervisor: SupervisorClient
  private let link: PeerLink
  private let state = NIOLockedValueBox(State())
  private let turn = NIOLockedValueBox(())

  /// - Parameter group: where connections to peers live.
  init(book: PeerBook, device: Device, hub: DeviceHub, statements: StatementDesk, rules: PeerRules, group: any EventLoopGroup, clock: WallClock) {
    self.book = book
    self.device = device
    self.hub = hub
    self.statements = statements
    self.rules = rules
    supervisor = statements.supervisor
    // A wipe that was cut off is complete by now, and took the file that the book was read from.
    if device.owner == nil { book.forget() }
    link = PeerLink(device: device.identifier, group: group, clock: clock) {
      guard let credential = device.operationalCredential, let owner = device.owner else { return nil }
      return PeerCredential(chain: credential.chain, key: credential.key, owner: owner, withdrawal: device.revocations.refusal)
    }
    link.onChange { [weak self] peer, status in self?.linkChanged(peer, status) }
  }

  /// Calls `handler`, which must not wait, when a peer's rights have shrunk: who is connected is to be judged again.
  func onWithdrawal(_ handler: @escaping @Sendable () -> Void) { state.withLockedValue { $0.withdrawn = handler } }

  // MARK: What it follows

  /// Where the supervisor lets packets go.
  func declared(_ destinations: PeerDestinations) {
    state.withLockedValue { state in
      state.declared = destinations
      state.search.keep(destinations.list)
    }
    use()
  }

  /// In quarantine and beyond nobody is asked anything, and no packet of the kind gets out: the supervisor tells when that is over.
  func gradeChanged(_ grade: Grade) {
    state.withLockedValue { state in
      state.isQuiet = grade >= .quarantined
      if state.isQuiet { state.declared = .none }
      state.search.forgetFound()
    }
    use()
  }

  /// The device has another owner, or none: the peers of the one before are none of its own.
  func ownerChanged() {
    book.forget()
    state.withLockedValue { $0.news = PeerNews() }
    use()
  }

  /// The device has another LDevID: peers see it in a new connection, and the one before in none.
  func credentialChanged() { link.credentialChanged() }

  func stop() { link.follow([:]) }

  /// The link goes only to where the supervisor lets it: an entry that is not the owner's word to the supervisor leads nowhere.
  ///
  /// One caller at a time, so that the newest word is the last that the link hears: a place that was just taken back would be undeclared.
  private func use() {
    turn.withLockedValue { _ in
      let (declared, isQuiet, found) = state.withLockedValue { ($0.declared.list, $0.isQuiet, $0.search.found) }
      guard !isQuiet, device.owner != nil else { return link.follow([:]) }
      var targets: [DeviceIdentifier: PeerDestinations.Destination] = [:]
      for entry in book.entries {
        if let destination = entry.destination, declared.contains(destination) {
          targets[entry.device] = found[entry.device].flatMap { $0.from == destination ? $0.to : nil } ?? destination
        }
      }
      link.follow(targets)
    }
  }

  // MARK: Peers that have moved

  /// Calls `handler`, which must not wait, with the peers that do not answer where they should be, whenever these are others than before, or one was not
  /// where it was found.
  func onMissing(_ handler: @escaping @Sendable (Set<DeviceIdentifier>) -> Void) { state.withLockedValue { $0.search.missingChanged = handler } }

  /// There is another link, or none may be looked at: where peers were found counts no more.
  func forgetFound() {
    state.withLockedValue { $0.search.forgetFound() }
    use()
  }

  private func look(for peer: DeviceIdentifier, _ status: PeerLinkStatus) {
    let (isOther, handler, missing) = state.withLockedValue { state in
      let before = (state.search.missing, state.search.found.count)
      state.search.take(peer, status)
      let isGivenUp = before.1 != state.search.found.count
      return (isGivenUp, isGivenUp || before.0 != state.search.missing ? state.search.missingChanged : nil, state.search.missing)
    }
    handler?(missing)
    // It was no better there: the owner's place is tried again.
    if isOther { use() }
  }

  /// Neighbours say where devices are. What the supervisor takes is tried; who is there, the handshake tells.
  func sighted(_ sightings: [Sighting]) {
    let entries = book.entries
    let move = state.withLockedValue { state in
      state.search.next(sightings, declared: state.isQuiet ? [] : state.declared.list, entries, now_ms: BootClock.now_ms())
    }
    guard let move else { return }
    Task.detached { [self] in
      let outcome = try? await supervisor.request { .peerMoved(request: $0, from: move.from, to: move.to.address) }
      let isTaken = state.withLockedValue { state in
        state.search.settle(move, isPermitted: outcome == .done && !state.isQuiet && state.declared.list.contains(move.from))
      }
      guard isTaken else { return }
      hub.log.append(.notice, source: "peers", "\(move.peer) is looked for at \(move.to), as a neighbour says")
      use()
    }
  }

  /// A device of the owner's completed a handshake.
  func arrived(_ peer: DeviceIdentifier) {
    guard book.arrived(peer) else { return }
    hub.log.append(.notice, source: "peers", "device \(peer) asks to be a peer")
    tell(peer, "asking")
  }

  private func linkChanged(_ peer: DeviceIdentifier, _ status: PeerLinkStatus) {
    if let failure = status.failure {
      hub.log.append(.info, source: "peers", "\(peer) is not reached: \(failure.code): \(failure.reason)")
    }
    look(for: peer, status)
    guard status.state == .connected || status.state == .refused else { return }
    let words = "\(status.state.rawValue) \(status.failure?.code ?? "")"
    if state.withLockedValue({ $0.news.take(peer, words, now_ms: BootClock.now_ms()) }) { tell(peer, status.state.rawValue, status.failure) }
  }

  private func tell(_ peer: DeviceIdentifier, _ word: String, _ failure: PeerLinkError? = nil) {
    hub.events.append(
      .peer(PeerEventDocument(deviceId: peer.text, state: word, code: failure?.code, reason: failure?.reason, uptimeMilliseconds: BootClock.now_ms())))
  }

  // MARK: The owner's word

  func put(_ peer: DeviceIdentifier, _ request: PeerRequest, caller: String) async throws(Problem) {
    let entry = try rules.entry(peer, request)
    try await change(about: peer, request, caller: caller, word: "approved") { (entries) throws(Problem) in
      entries.removeAll { $0.device == peer }
      guard entries.count < PeerBook.maximumEntries else {
        throw .unprocessable("too-many-peers", "A device has at most \(PeerBook.maximumEntries) peers; remove one first.", field: "deviceId")
      }
      entries.append(entry)
    }
  }

  func remove(_ peer: DeviceIdentifier, _ request: StatementRequest, caller: String) async throws(Problem) {
    guard book.entry(of: peer) != nil || book.asking().contains(peer) else {
      throw Problem(status: 404, code: "not-found", title: "There is no such resource", detail: "\(peer) is no peer of this device and does not ask to be one.")
    }
    try await change(about: peer, request, caller: caller, word: "removed") { entries in entries.removeAll { $0.device == peer } }
  }

  /// The supervisor believes the statement first; what it covers is every place that this device may then reach.
  private func change(
    about peer: DeviceIdentifier, _ request: some SignedRequest, caller: String, word: String, _ edit: (inout [PeerEntry]) throws(Problem) -> Void
  ) async throws(Problem) {
    let begins = state.withLockedValue { state in
      defer { state.isChanging = true }
      return !state.isChanging
    }
    guard begins else { throw .conflict("peers-busy", "Another request is changing the list of peers now; try again.") }
    defer { state.withLockedValue { $0.isChanging = false } }
    let owner = device.owner
    var entries = book.entries
    try edit(&entries)
    guard let destinations = PeerDestinations(entries.compactMap(\.destination)) else {
      throw .unprocessable(
        "too-many-peers", "A device reaches at most \(PeerDestinations.maximumCount) peers by itself; name this one without an address, and let it come.",
        field: "address")
    }
    try await statements.send(.setPeers, request, body: destinations.encoded)
    // A wipe may have come in between: nothing of this owner's is written after it.
    try device.beginOwned(by: owner)
    defer { device.end() }
    let written = Result { try book.replace(entries, about: peer) }
    hub.log.append(.notice, source: "peers", "\(caller): peer \(peer) \(word)")
    state.withLockedValue { $0.news.forget(peer) }
    tell(peer, word)
    use()
    state.withLockedValue { $0.withdrawn }?()
    guard case .failure(let error) = written else { return }
    hub.log.append(.error, source: "peers", "the list of peers could not be written: \(error)")
    throw .notKept(error, "The list of peers counts now, and could not be written: after the device's next start the former one would count. Tell it again.")
  }

  func document() -> PeersDocument {
    let declared = state.withLockedValue { $0.declared.list }
    let listed = book.entries.map { entry in
      let status = link.status(of: entry.device)
      let word = entry.destination.map { declared.contains($0) ? status?.state.rawValue ?? "waiting" : "undeclared" } ?? "none"
      return PeerDocument(
        deviceId: entry.device.text, state: "approved", address: entry.destination?.address.description, port: entry.destination?.port,
        scope: entry.scope.texts, link: word, protocolVersion: status?.agreement?.version,
        error: status?.failure.map { PeerDocument.Failure(code: $0.code, reason: $0.reason) },
        readings: (status?.readings ?? []).map { reading in
          PeerDocument.Reading(
            name: reading.document.name, value: reading.document.value, unit: reading.document.unit, time: reading.document.time,
            simulated: reading.document.simulated, uptimeMilliseconds: reading.arrived_ms)
        })
    }
    let asking = book.asking().map {
      PeerDocument(
        deviceId: $0.text, state: "asking", address: nil, port: nil, scope: [], link: "none", protocolVersion: nil, error: nil, readings: [])
    }
    return PeersDocument(peers: listed + asking)
  }

  /// What the product sees.
  func readings() -> [PeerReading] {
    let now_ms = BootClock.now_ms()
    return book.entries.flatMap { entry in
      (link.status(of: entry.device)?.readings ?? []).map { reading in
        PeerReading(
          device: entry.device.text, name: reading.document.name, value: reading.document.value, unit: reading.document.unit,
          isSimulated: reading.document.simulated, age_ms: now_ms > reading.arrived_ms ? now_ms - reading.arrived_ms : 0)
      }
    }
  }

  // MARK: What a peer may ask

  func hello(_ peer: DeviceIdentifier, _ query: PeerHelloQuery) throws(Problem) -> PeerHelloDocument {
    let agreement: PeerAgreement
    do throws(PeerLinkError) {
      agreement = try PeerAgreement(.own, PeerOffer(versions: query.versions, capabilities: query.capabilities))
    } catch {
      throw .conflict(error.code, "\(error.reason).")
    }
    let entry = book.entry(of: peer)
    let present = Set(hub.readings().map(\.name))
    return PeerHelloDocument(
      deviceId: device.identifier.text, versions: PeerOffer.own.versions, capabilities: PeerOffer.own.capabilities, version: agreement.version,
      agreed: agreement.capabilities, state: entry == nil ? "asking" : "approved", readings: entry?.scope.readings.filter(present.contains) ?? [])
  }

  /// The same answer for what is not there and for what the peer may not have: it tells nothing.
  func reading(_ peer: DeviceIdentifier, _ name: String) throws(Problem) -> ReadingDocument {
    guard let entry = book.entry(of: peer), entry.scope.allowsReading(name), let reading = hub.readings().first(where: { $0.name == name }) else {
      throw Problem(
        status: 404, code: "not-found", title: "There is no such resource", detail: "There is no reading of that name for this peer; an admin sets its scope.")
    }
    return reading
  }
}
