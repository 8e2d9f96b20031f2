internal import Foundations

extension SupervisorPacket {
  /// The packet of a message to the runtime. Texts that are too long are cut.
  public static func encode(_ message: SupervisorMessage) -> [UInt8] {
    switch message {
    case .started(let count, let cause):
      var writer = PacketWriter(kind: SupervisorKind.started.rawValue)
      writer.uint32(count)
      writer.byte(cause.rawValue)
      return writer.packet()
    case .phase(let report):
      var writer = PacketWriter(kind: SupervisorKind.phase.rawValue)
      writer.name(report.name)
      writer.uint64(report.started_us)
      writer.uint64(report.duration_us)
      writer.byte(report.outcome.rawValue)
      writer.text(report.detail, maximum: maximumDetailBytes)
      return writer.packet()
    case .phasesComplete:
      return PacketWriter(kind: SupervisorKind.phasesComplete.rawValue).packet()
    case .line(let name, let isOutput, let value):
      var writer = PacketWriter(kind: SupervisorKind.line.rawValue)
      writer.name(name)
      writer.bool(isOutput)
      writer.bool(value)
      return writer.packet()
    case .input(let name, let value, let at_us):
      var writer = PacketWriter(kind: SupervisorKind.input.rawValue)
      writer.name(name)
      writer.bool(value)
      writer.uint64(at_us)
      return writer.packet()
    case .answer(let request, let outcome):
      var writer = PacketWriter(kind: SupervisorKind.answer.rawValue)
      writer.uint32(request)
      writer.byte(outcome.rawValue)
      return writer.packet()
    case .link(let up):
      var writer = PacketWriter(kind: SupervisorKind.link.rawValue)
      writer.bool(up)
      return writer.packet()
    case .rootOfTrust(let report):
      var writer = PacketWriter(kind: SupervisorKind.rootOfTrust.rawValue)
      writer.byte(report.kind.rawValue)
      writer.text(report.manufacturer, maximum: 16)
      writer.bytes(report.secureBootState, maximum: 32)
      return writer.packet()
    case .log(let level, let at_us, let text):
      var writer = PacketWriter(kind: SupervisorKind.log.rawValue)
      writer.byte(level.rawValue)
      writer.uint64(at_us)
      writer.text(text, maximum: maximumLogBytes)
      return writer.packet()
    case .shutdown(let grace_ms):
      var writer = PacketWriter(kind: SupervisorKind.shutdown.rawValue)
      writer.uint32(grace_ms)
      return writer.packet()
    case .grade(let report):
      var writer = PacketWriter(kind: SupervisorKind.grade.rawValue)
      writer.byte(report.grade.rawValue)
      writer.byte(report.cause.rawValue)
      writer.uint64(report.event)
      writer.uint64(report.at_us)
      writer.uint32(report.decay_ms)
      writer.fixed(report.nonce)
      writer.text(report.evidence, maximum: maximumEvidenceBytes)
      return writer.packet()
    case .destination(let report):
      var writer = PacketWriter(kind: SupervisorKind.destination.rawValue)
      writer.text(report.destination.host, maximum: CloudDestination.hostMaximum_bytes)
      writer.uint16(report.destination.port)
      writer.addresses(report.addresses)
      return writer.packet()
    case .storage(let report):
      var writer = PacketWriter(kind: SupervisorKind.storage.rawValue)
      writer.byte(report.state.rawValue)
      writer.text(report.cipher, maximum: StorageReport.cipherMaximum_bytes)
      writer.byte(report.rootOfTrust.rawValue)
      writer.uint64(report.identityEpoch)
      writer.text(report.reason, maximum: StorageReport.reasonMaximum_bytes)
      writer.bool(report.recoveryKey != nil)
      if let key = report.recoveryKey {
        writer.fixed(key.fingerprint)
        writer.uint64(UInt64(bitPattern: key.ordered_s))
      }
      writer.byte(report.recoveryChange.rawValue)
      return writer.packet()
    case .peers(let destinations):
      var writer = PacketWriter(kind: SupervisorKind.peers.rawValue)
      writer.bytes(destinations.encoded, maximum: PeerDestinations.encodedMaximum_bytes)
      return writer.packet()
    case .wipeWanted:
      return PacketWriter(kind: SupervisorKind.wipeWanted.rawValue).packet()
    case .identityKey(let publicKey):
      var writer = PacketWriter(kind: SupervisorKind.identityKey.rawValue)
      writer.bytes(publicKey, maximum: maximumPublicKeyBytes)
      return writer.packet()
    case .signature(let request, let signature):
      var writer = PacketWriter(kind: SupervisorKind.signature.rawValue)
      writer.uint32(request)
      writer.bytes(signature, maximum: SignedStatement.signatureMaximum_bytes)
      return writer.packet()
    case .discovery(let isOn):
      var writer = PacketWriter(kind: SupervisorKind.discovery.rawValue)
      writer.bool(isOn)
      return writer.packet()
    case .recoveryOffer(let publicKey):
      var writer = PacketWriter(kind: SupervisorKind.recoveryOffer.rawValue)
      writer.fixed((publicKey + [UInt8](repeating: 0, count: recoveryOfferBytes)).prefix(recoveryOfferBytes))
      return writer.packet()
    }
  }

  /// The message in a packet from the supervisor. Throws where the packet is anything but one whole, known message.
  public static func decodeSupervisorMessage(_ bytes: [UInt8]) throws(LinkError) -> SupervisorMessage {
    let number = try kind(of: bytes)
    guard let kind = SupervisorKind(rawValue: number) else {
      throw LinkError("packet-kind", "kind \(number) is no message of the supervisor")
    }
    var reader = PacketReader(bytes)
    let message = try supervisorMessage(kind, &reader)
    try reader.end()
    return message
  }

  private static func supervisorMessage(
    _ kind: SupervisorKind, _ reader: inout PacketReader
  ) throws(LinkError) -> SupervisorMessage {
    switch kind {
    case .started:
      return .started(count: try reader.uint32("count"), cause: try reader.choice("cause", StartCause.self))
    case .phase:
      return .phase(
        PhaseReport(
          name: try reader.name("name"), started_us: try reader.uint64("started_us"),
          duration_us: try reader.uint64("duration_us"), outcome: try reader.choice("outcome", PhaseOutcome.self),
          detail: try reader.text("detail", maximum: maximumDetailBytes)))
    case .phasesComplete:
      return .phasesComplete
    case .line:
      return .line(
        name: try reader.name("name"), isOutput: try reader.bool("isOutput"), value: try reader.bool("value"))
    case .input:
      return .input(name: try reader.name("name"), value: try reader.bool("value"), at_us: try reader.uint64("at_us"))
    case .answer:
      return .answer(request: try reader.uint32("request"), try reader.choice("outcome", RequestOutcome.self))
    case .link:
      return .link(up: try reader.bool("up"))
    case .rootOfTrust:
      let kind = try reader.choice("kind", RootOfTrustReport.Kind.self)
      let manufacturer = try reader.text("manufacturer", maximum: 16)
      let state = try reader.bytes("secureBootState", maximum: 32)
      guard state.isEmpty || state.count == 32 else {
        throw LinkError("packet-field", "secureBootState: \(state.count) bytes where 0 or 32 are expected")
      }
      return .rootOfTrust(RootOfTrustReport(kind: kind, manufacturer: manufacturer, secureBootState: state))
    case .log:
      return .log(
        level: try reader.choice("level", LogLevel.self), at_us: try reader.uint64("at_us"),
        text: try reader.text("text", maximum: maximumLogBytes))
    case .shutdown:
      return .shutdown(grace_ms: try reader.uint32("grace_ms"))
    case .grade:
      return .grade(
        GradeReport(
          grade: try reader.choice("grade", Grade.self), cause: try reader.choice("cause", GradeCause.self), event: try reader.uint64("event"),
          at_us: try reader.uint64("at_us"), decay_ms: try reader.uint32("decay_ms"),
          nonce: try reader.fixed("nonce", count: GradeReport.nonce_bytes),
          evidence: try reader.text("evidence", maximum: maximumEvidenceBytes)))
    case .destination:
      let host = try reader.text("host", maximum: CloudDestination.hostMaximum_bytes)
      let port = try reader.uint16("port")
      // One form for each destination: what is not already in it is refused.
      guard let destination = CloudDestination(host: host, port: port), destination.host == host else {
        throw LinkError("packet-field", "host: neither a host name in lower case nor an address, or the port is 0")
      }
      return .destination(DestinationReport(destination: destination, addresses: try reader.addresses("addresses")))
    case .storage:
      return .storage(
        StorageReport(
          state: try reader.choice("state", StorageReport.State.self),
          cipher: try reader.text("cipher", maximum: StorageReport.cipherMaximum_bytes),
          rootOfTrust: try reader.choice("rootOfTrust", RootOfTrustReport.Kind.self),
          identityEpoch: try reader.uint64("identityEpoch"),
          reason: try reader.text("reason", maximum: StorageReport.reasonMaximum_bytes), recoveryKey: try recoveryKey(&reader),
          recoveryChange: try reader.choice("recoveryChange", StorageReport.RecoveryChange.self)))
    case .wipeWanted:
      return .wipeWanted
    case .peers:
      guard let destinations = PeerDestinations(encoded: try reader.bytes("destinations", maximum: PeerDestinations.encodedMaximum_bytes)) else {
        throw LinkError("packet-field", "destinations: not the one form of addresses and ports")
      }
      return .peers(destinations)
    case .identityKey:
      return .identityKey(try reader.bytes("publicKey", maximum: maximumPublicKeyBytes))
    case .signature:
      return .signature(
        request: try reader.uint32("request"), try reader.bytes("signature", maximum: SignedStatement.signatureMaximum_bytes))
    case .discovery:
      return .discovery(isOn: try reader.bool("isOn"))
    case .recoveryOffer:
      return .recoveryOffer(publicKey: try reader.fixed("publicKey", count: recoveryOfferBytes))
    }
  }

  private static let recoveryOfferBytes = 32

  private static func recoveryKey(_ reader: inout PacketReader) throws(LinkError) -> RecoveryKeyReport? {
    guard try reader.bool("recoveryKey") else { return nil }
    let fingerprint = try reader.fixed("fingerprint", count: RecoveryKeyReport.fingerprint_bytes)
    return RecoveryKeyReport(fingerprint: fingerprint, ordered_s: Int64(bitPattern: try reader.uint64("ordered_s")))
  }
}
