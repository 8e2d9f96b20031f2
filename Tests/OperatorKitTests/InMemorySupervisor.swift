import Crypto
import Foundations
import Glibc
import Identity
import NIOPosix
import SupervisorLink
import Synchronization

@testable import OperatorKit

/// The other end of the runtime's link: tells two lines, drives one, and holds the grade as the real one does, but in memory and for a short time.
final class InMemorySupervisor: Sendable {
  /// How long `restricted` lasts after the last evidence: short, and long enough that a slow machine sees it.
  static let restriction_ms: UInt32 = 15_000

  private struct State {
    var grade = Grade.normal
    var cause = GradeCause.none
    var evidence = ""
    var event: UInt64 = 0
    var since_us: UInt64 = 0
    var nonce = InMemorySupervisor.newNonce()
    /// When the grade ends by itself, milliseconds of `BootClock`.
    var ends_ms: UInt64?
    var owner: (device: DeviceIdentifier, certificate: [UInt8])?
    /// The owner's revocation list, DER; empty before the first.
    var revocations: [UInt8] = []
    var destinations: [CloudDestination] = []
    var storage = StorageReport(state: .volatile, reason: "a stand-in keeps the files as they are")
    /// Of the newest offer; it serves once.
    var recoveryOffer: X25519PrivateKey?
    var recoveryKey: RecoveryKey?

    var report: GradeReport {
      GradeReport(
        grade: grade, cause: cause, event: event, at_us: since_us, decay_ms: ends_ms == nil ? 0 : restriction_ms, nonce: nonce,
        evidence: evidence)
    }
  }

  private let descriptor: CInt
  private let state = Mutex(State())
  /// What the runtime logged.
  let lines = Mutex<[String]>([])

  /// What it answers to whoever asks for a new storage.
  let remakeOutcome = Mutex(RequestOutcome.notPermitted)

  init(descriptor: CInt, storage: StorageReport? = nil) {
    self.descriptor = descriptor
    if let storage { state.withLock { $0.storage = storage } }
  }
  // Not when the reading thread ends: a number that is free again may be another socket by the time `stop` uses it.
  deinit { close(descriptor) }

  var destinations: [CloudDestination] { state.withLock { $0.destinations } }

  func send(_ message: SupervisorMessage) {
    let packet = SupervisorPacket.encode(message)
    _ = Glibc.send(descriptor, packet, packet.count, CInt(MSG_NOSIGNAL))
  }

  /// As if it had an encrypted disk.
  func openStorage() {
    let report = state.withLock { state in
      state.storage = StorageReport(state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 1)
      return state.storage
    }
    send(.storage(report))
  }

  /// As the next start of the machine does with an order.
  func openStorageAgain(failing: Bool = false) {
    let report = state.withLock { state in
      let former = state.storage.recoveryKey
      let key = state.recoveryKey.map { RecoveryKeyReport(fingerprint: $0.fingerprintBytes, ordered_s: 1_700_000_000) }
      state.storage = StorageReport(
        state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 1, recoveryKey: failing ? former : key,
        recoveryChange: failing ? .failed : key == nil ? .removed : .made)
      return state.storage
    }
    send(.storage(report))
  }

  /// The recovery key that was ordered last.
  var recoveryKey: RecoveryKey? { state.withLock { $0.recoveryKey } }

  private func offerRecovery(_ request: UInt32) {
    guard let key = try? X25519PrivateKey.generate() else { return send(.answer(request: request, .failed)) }
    state.withLock { $0.recoveryOffer = key }
    send(.recoveryOffer(publicKey: key.publicKey))
    send(.answer(request: request, .done))
  }

  private func orderRecovery(_ statement: OwnerStatement, _ signed: SignedStatement) -> RequestOutcome {
    let report: GradeReport? = state.withLock { state in
      if signed.kind == .setRecoveryKey {
        guard let offer = state.recoveryOffer,
          let key = try? RecoveryKey(
            opening: signed.body, with: offer, device: statement.device, event: signed.event, nonce: signed.nonce)
        else { return nil }
        state.recoveryKey = key
      } else {
        state.recoveryKey = nil
      }
      state.recoveryOffer = nil
      state.nonce = Self.newNonce()
      return state.report
    }
    guard let report else { return .failed }
    send(.grade(report))
    return .done
  }

  func start() {
    send(.started(count: 1, cause: .boot))
    send(.phase(PhaseReport(name: ShortName("mounts") ?? .unnamed, started_us: 1000, duration_us: 2000, outcome: .done, detail: "")))
    send(.phasesComplete)
    send(.line(name: ShortName("relay") ?? .unnamed, isOutput: true, value: false))
    send(.line(name: ShortName("button") ?? .unnamed, isOutput: false, value: false))
    send(.storage(state.withLock { $0.storage }))
    send(.link(up: true))
    send(.grade(state.withLock { $0.report }))
    // A thread of its own: the shared pool has as many as there are cores, and each of these keeps one for as long as its device lives.
    let thread = NIOThreadPool(numberOfThreads: 1)
    thread.start()
    thread.submit { _ in
      defer { thread.shutdownGracefully { _ in } }
      var buffer = [UInt8](repeating: 0, count: SupervisorPacket.maximumSize)
      while true {
        // A short wait each time: the end of a grade is seen between two packets.
        var wanted = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
        let ready = poll(&wanted, 1, 100)
        self.endGrade()
        guard ready > 0 else { continue }
        let count = recv(self.descriptor, &buffer, buffer.count, 0)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        if let message = try? SupervisorPacket.decodeRuntimeMessage(Array(buffer[..<count])) { self.handle(message) }
      }
    }
  }

  private func handle(_ message: RuntimeMessage) {
    switch message {
    case .setOutput(let request, let name, _): send(.answer(request: request, name.text == "relay" ? .done : .unknownName))
    case .setHostName(let request, _): send(.answer(request: request, .done))
    case .log(_, let source, let text): lines.withLock { $0.append("\(source): \(text)") }
    case .raiseGrade(let request, let grade, let cause, let evidence):
      change(to: min(grade, cause.ceiling), cause, evidence: evidence)
      send(.answer(request: request, .done))
    case .pinOwner(let request, let device, let certificate):
      state.withLock { state in state.owner = DeviceIdentifier(hexadecimal(device)).map { ($0, certificate) } }
      send(.answer(request: request, .done))
    case .statement(let request, let statement): send(.answer(request: request, carryOut(statement)))
    case .allowWipe(let request): send(.answer(request: request, .done))
    case .remakeStorage(let request): send(.answer(request: request, remakeOutcome.withLock { $0 }))
    case .revocations(let request, let list):
      state.withLock { $0.revocations = list }
      send(.answer(request: request, .done))
    case .commitIdentity(let request): send(.answer(request: request, .done))
    case .exportAudit(let request): send(.answer(request: request, .failed))
    case .sign(let request, _): send(.answer(request: request, .refused))
    case .recoveryOffer(let request): offerRecovery(request)
    case .audit, .ready, .heartbeat, .applyLease, .dropLease, .destinationAddresses, .peerMoved: break
    }
  }

  /// Raises the grade, or renews one that ends by itself.
  func change(to grade: Grade, _ cause: GradeCause, evidence: String) {
    let report: GradeReport? = state.withLock { state in
      guard grade >= state.grade || cause == .released || cause == .decayed else { return nil }
      let ends_ms = grade == .restricted ? BootClock.now_ms() + UInt64(Self.restriction_ms) : nil
      if grade == state.grade {
        state.ends_ms = ends_ms
        return state.report
      }
      (state.grade, state.cause, state.evidence, state.ends_ms) = (grade, cause, evidence, ends_ms)
      state.event += 1
      state.since_us = BootClock.now_us()
      state.nonce = Self.newNonce()
      return state.report
    }
    if let report { send(.grade(report)) }
  }

  private func endGrade() {
    let isOver = state.withLock { $0.ends_ms.map { $0 <= BootClock.now_ms() } ?? false }
    if isOver { change(to: .normal, .decayed, evidence: "") }
  }

  private func carryOut(_ signed: SignedStatement) -> RequestOutcome {
    let (owner, revocations, report) = state.withLock { ($0.owner, $0.revocations, $0.report) }
    guard let owner else { return .notPermitted }
    guard signed.event == report.event, signed.nonce == report.nonce else { return .stale }
    guard
      let statement = OwnerStatement(kind: signed.kind.rawValue, device: owner.device, event: signed.event, nonce: signed.nonce, body: signed.body),
      (try? statement.verify(
        owner: owner.certificate, certificate: signed.certificate, signature: signed.signature, revocations: revocations, time_s: secondsNow())) != nil
    else { return .notPermitted }
    switch signed.kind {
    case .release: change(to: .normal, .released, evidence: "")
    case .bindCloud:
      guard let destination = CloudDestination(encoded: signed.body) else { return .refused }
      let report = state.withLock { state in
        state.destinations.append(destination)
        state.nonce = Self.newNonce()
        return state.report
      }
      send(.destination(DestinationReport(destination: destination, addresses: destination.address.map { [$0] } ?? [])))
      send(.grade(report))
    case .setPeers:
      guard let peers = PeerDestinations(encoded: signed.body) else { return .refused }
      let report = state.withLock { state in
        state.nonce = Self.newNonce()
        return state.report
      }
      send(.peers(peers))
      send(.grade(report))
    case .setDiscovery:
      guard signed.body == [0] || signed.body == [1] else { return .refused }
      let report = state.withLock { state in
        state.nonce = Self.newNonce()
        return state.report
      }
      send(.discovery(isOn: signed.body == [1]))
      send(.grade(report))
    case .transfer: break
    case .setRecoveryKey, .removeRecoveryKey: return orderRecovery(statement, signed)
    }
    return .done
  }

  private static func newNonce() -> [UInt8] { (0..<GradeReport.nonce_bytes).map { _ in UInt8.random(in: 0...255) } }

  /// Makes the reading thread see the end.
  func stop() { shutdown(descriptor, CInt(SHUT_RDWR)) }
}
