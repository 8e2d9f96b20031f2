import BoardAPI
import Crypto
import Foundations
import Glibc
import SupervisorLink
import TestChip
import Testing
import VirtualBoard

/// A supervisor in this process: the virtual board's lines behind the real link, so that a runtime under test lacks nothing.
actor BenchSupervisor {
  private let board: VirtualBoard
  private let descriptor: CInt
  private(set) var isReady = false
  private(set) var heartbeats: UInt64 = 0
  private(set) var hostName: String?
  private(set) var logs: [String] = []
  private(set) var requests = 0
  private(set) var unreadable = 0
  private(set) var isClosed = false
  private(set) var raised: [(Grade, GradeCause)] = []
  private(set) var pinned: (device: [UInt8], certificate: [UInt8])?
  private(set) var statements: [SignedStatement] = []
  private(set) var revocations: [[UInt8]] = []
  private(set) var audited: [AuditEvent] = []
  /// What a statement and a pin are answered with.
  private var statementOutcome = RequestOutcome.done
  private var pinOutcome = RequestOutcome.done
  private var wipeOutcome = RequestOutcome.done
  private var remakeOutcome = RequestOutcome.notPermitted
  private(set) var wipesAsked = 0
  private var revocationOutcome = RequestOutcome.done
  private(set) var moved: [(from: PeerDestinations.Destination, to: NetworkAddress)] = []
  private var movedOutcome = RequestOutcome.done
  /// How it is answered that a peer has moved.
  func answerMoved(_ outcome: RequestOutcome) { movedOutcome = outcome }
  /// The statement about peers that is not answered yet, where they are held back.
  private var heldPeers: UInt32?
  private var holdsPeers = false
  /// Set to let requests go unanswered.
  private var isSilent = false
  /// The device's own key, where it is to lie outside the runtime; nil for one among its files.
  private let chip: TestChip?
  /// How signatures are answered, and how many were asked for.
  private var signatureOutcome = RequestOutcome.done
  private(set) var signaturesAsked = 0
  /// Those that are not answered yet, where they are held back.
  private var heldSignatures: [(request: UInt32, digest: [UInt8])] = []
  private var holdsSignatures = false

  /// The runtime's end of the link.
  nonisolated let runtimeEnd: CInt

  init(folder: String, chip: TestChip? = nil) throws {
    self.chip = chip
    var pair: [CInt] = [-1, -1]
    guard socketpair(AF_UNIX, flag(SOCK_SEQPACKET) | flag(SOCK_CLOEXEC), 0, &pair) == 0 else {
      throw SystemCallError("socketpair", number: errno, subject: "bench")
    }
    descriptor = pair[0]
    runtimeEnd = pair[1]
    let board = VirtualBoard(folder: folder, logsToStandardError: false)
    for phase in board.earlyPhases { try phase.run() }
    try board.gpio.open(board.lines)
    self.board = board
  }

  deinit { close(descriptor) }

  /// Tells a new runtime what it must know first, as the supervisor does.
  func introduce(
    storage: StorageReport = StorageReport(state: .open, cipher: "aes-xts-plain64", rootOfTrust: .development)
  ) throws {
    send(.started(count: 1, cause: .boot))
    let name = try #require(ShortName("lines"))
    send(.phase(PhaseReport(name: name, started_us: 10, duration_us: 20, outcome: .done, detail: "")))
    send(.phasesComplete)
    for line in board.lines {
      var isOutput = false
      if case .output = line.role { isOutput = true }
      send(.line(name: try #require(ShortName(line.name)), isOutput: isOutput, value: try board.gpio.value(of: line.name)))
    }
    send(.storage(storage))
    if let chip { send(.identityKey(chip.publicKey.der)) }
    send(.link(up: true))
    send(.rootOfTrust(RootOfTrustReport(kind: .development, manufacturer: "bench", secureBootState: [])))
    send(.log(level: .info, at_us: 5, text: "the bench is set"))
  }

  func send(_ message: SupervisorMessage) { sendRaw(SupervisorPacket.encode(message)) }
  func sendRaw(_ packet: [UInt8]) { _ = Glibc.send(descriptor, packet, packet.count, flag(MSG_NOSIGNAL)) }
  func beSilent(_ silent: Bool) { isSilent = silent }
  func answerStatements(with outcome: RequestOutcome) { statementOutcome = outcome }
  /// Answers no statement about peers until this is false again.
  func holdPeers(_ holds: Bool) {
    holdsPeers = holds
    guard !holds, let request = heldPeers else { return }
    heldPeers = nil
    send(.answer(request: request, statementOutcome))
  }
  func answerPins(with outcome: RequestOutcome) { pinOutcome = outcome }
  func answerRemakes(with outcome: RequestOutcome) { remakeOutcome = outcome }
  func answerWipes(with outcome: RequestOutcome) { wipeOutcome = outcome }
  /// Presses the button, and lets it go.
  func press() {
    guard let name = ShortName(SupervisorPacket.presenceLine) else { return }
    for value in [true, false] { send(.input(name: name, value: value, at_us: BootClock.now_us())) }
  }
  func answerSignatures(with outcome: RequestOutcome) { signatureOutcome = outcome }
  /// Answers no request for a signature until this is false again.
  func holdSignatures(_ holds: Bool) {
    holdsSignatures = holds
    let held = heldSignatures
    heldSignatures = []
    for (request, digest) in held { sign(digest, request) }
  }
  private func sign(_ digest: [UInt8], _ request: UInt32) {
    guard !holdsSignatures else { return heldSignatures.append((request, digest)) }
    guard signatureOutcome == .done, let signature = try? chip?.sign(digest) else {
      return send(.answer(request: request, signatureOutcome == .done ? .refused : signatureOutcome))
    }
    send(.signature(request: request, signature))
  }
  func answerRevocations(with outcome: RequestOutcome) { revocationOutcome = outcome }
  func value(of line: String) throws -> Bool { try board.gpio.value(of: line) }
  func hangUp() { shutdown(descriptor, flag(SHUT_RDWR)) }

  /// Works until the runtime hangs up or the task is cancelled.
  func serve() async {
    while !Task.isCancelled {
      for event in (try? board.gpio.takeEvents()) ?? [] {
        if let name = ShortName(event.name) { send(.input(name: name, value: event.value, at_us: event.at_us)) }
      }
      var buffer = [UInt8](repeating: 0, count: SupervisorPacket.maximumSize + 1)
      let count = recv(descriptor, &buffer, buffer.count, flag(MSG_DONTWAIT))
      if count > 0 {
        handle(Array(buffer.prefix(count)))
      } else if count == 0 {
        isClosed = true
        return
      } else {
        do { try await Task.sleep(for: .milliseconds(1)) } catch { return }
      }
    }
  }

  private func handle(_ packet: [UInt8]) {
    guard let message = try? SupervisorPacket.decodeRuntimeMessage(packet) else {
      unreadable += 1
      return
    }
    switch message {
    case .ready: isReady = true
    case .heartbeat(let count): heartbeats = count
    case .log(_, let source, let text): logs.append("\(source): \(text)")
    case .setOutput(let request, let name, let value):
      requests += 1
      guard !isSilent else { return }
      do {
        try board.gpio.set(name.text, to: value)
        send(.answer(request: request, .done))
      } catch {
        send(.answer(request: request, .unknownName))
      }
    case .commitIdentity(let request): send(.answer(request: request, .done))
    case .setHostName(let request, let name):
      hostName = name.text
      send(.answer(request: request, .done))
    case .applyLease(let request, _), .dropLease(let request): send(.answer(request: request, .done))
    case .raiseGrade(let request, let grade, let cause, _):
      raised.append((grade, cause))
      send(.answer(request: request, .done))
    case .pinOwner(let request, let device, let certificate):
      pinned = (device, certificate)
      send(.answer(request: request, pinOutcome))
    case .statement(let request, let statement):
      statements.append(statement)
      if statement.kind == .setPeers, statementOutcome == .done, let peers = PeerDestinations(encoded: statement.body) { send(.peers(peers)) }
      if statement.kind == .setDiscovery, statementOutcome == .done { send(.discovery(isOn: statement.body == [1])) }
      if statement.kind == .setPeers, holdsPeers {
        heldPeers = request
      } else {
        send(.answer(request: request, statementOutcome))
      }
    case .peerMoved(let request, let from, let address):
      moved.append((from, address))
      send(.answer(request: request, movedOutcome))
    case .destinationAddresses(let request, _): send(.answer(request: request, .done))
    case .allowWipe(let request):
      wipesAsked += 1
      send(.answer(request: request, wipeOutcome))
    case .remakeStorage(let request): send(.answer(request: request, remakeOutcome))
    case .revocations(let request, let list):
      revocations.append(list)
      send(.answer(request: request, revocationOutcome))
    case .sign(let request, let digest):
      signaturesAsked += 1
      sign(digest, request)
    case .audit(_, let event): audited.append(event)
    case .exportAudit(let request): send(.answer(request: request, .done))
    case .recoveryOffer(let request): send(.answer(request: request, .failed))
    }
  }
}

// The same constants come as numbers or as enumerations, depending on which module read the header first.
func flag(_ value: Int) -> CInt { CInt(value) }
func flag(_ value: Int32) -> CInt { value }
func flag<Flag: RawRepresentable>(_ value: Flag) -> CInt where Flag.RawValue: BinaryInteger { CInt(value.rawValue) }

/// Waits until `condition` holds, at most about two minutes of polling.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  for _ in 0..<24_000 {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(5))
  }
  Issue.record("never came true: \(what)")
}
