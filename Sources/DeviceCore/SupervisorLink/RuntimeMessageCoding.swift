internal import Foundations

extension SupervisorPacket {
  /// The packet of a message to the supervisor. Texts that are too long are cut.
  public static func encode(_ message: RuntimeMessage) -> [UInt8] {
    switch message {
    case .ready:
      return PacketWriter(kind: RuntimeKind.ready.rawValue).packet()
    case .heartbeat(let count):
      var writer = PacketWriter(kind: RuntimeKind.heartbeat.rawValue)
      writer.uint64(count)
      return writer.packet()
    case .setOutput(let request, let name, let value):
      var writer = PacketWriter(kind: RuntimeKind.setOutput.rawValue)
      writer.uint32(request)
      writer.name(name)
      writer.bool(value)
      return writer.packet()
    case .applyLease(let request, let lease):
      var writer = PacketWriter(kind: RuntimeKind.applyLease.rawValue)
      writer.uint32(request)
      writer.uint32(lease.prefix.address)
      writer.byte(lease.prefix.prefixLength)
      writer.uint32(lease.router)
      // A count, then so many addresses.
      let resolvers = lease.resolvers.prefix(3)
      writer.byte(UInt8(truncatingIfNeeded: resolvers.count))
      for resolver in resolvers { writer.uint32(resolver) }
      writer.uint32(lease.valid_s)
      return writer.packet()
    case .dropLease(let request):
      var writer = PacketWriter(kind: RuntimeKind.dropLease.rawValue)
      writer.uint32(request)
      return writer.packet()
    case .setHostName(let request, let name):
      var writer = PacketWriter(kind: RuntimeKind.setHostName.rawValue)
      writer.uint32(request)
      writer.name(name)
      return writer.packet()
    case .log(let level, let source, let text):
      var writer = PacketWriter(kind: RuntimeKind.log.rawValue)
      writer.byte(level.rawValue)
      writer.name(source)
      writer.text(text, maximum: maximumLogBytes)
      return writer.packet()
    case .raiseGrade(let request, let grade, let cause, let evidence):
      var writer = PacketWriter(kind: RuntimeKind.raiseGrade.rawValue)
      writer.uint32(request)
      writer.byte(grade.rawValue)
      writer.byte(cause.rawValue)
      writer.text(evidence, maximum: maximumEvidenceBytes)
      return writer.packet()
    case .pinOwner(let request, let device, let certificate):
      var writer = PacketWriter(kind: RuntimeKind.pinOwner.rawValue)
      writer.uint32(request)
      writer.fixed((device + [UInt8](repeating: 0, count: deviceBytes)).prefix(deviceBytes))
      writer.longBytes(certificate, maximum: SignedStatement.certificateMaximum_bytes)
      return writer.packet()
    case .statement(let request, let statement):
      var writer = PacketWriter(kind: RuntimeKind.statement.rawValue)
      writer.uint32(request)
      writer.byte(statement.kind.rawValue)
      writer.uint64(statement.event)
      writer.fixed(statement.nonce)
      writer.bytes(statement.body, maximum: SignedStatement.bodyMaximum_bytes)
      writer.longBytes(statement.certificate, maximum: SignedStatement.certificateMaximum_bytes)
      writer.bytes(statement.signature, maximum: SignedStatement.signatureMaximum_bytes)
      return writer.packet()
    case .destinationAddresses(let request, let addresses):
      var writer = PacketWriter(kind: RuntimeKind.destinationAddresses.rawValue)
      writer.uint32(request)
      writer.addresses(addresses)
      return writer.packet()
    case .allowWipe(let request):
      var writer = PacketWriter(kind: RuntimeKind.allowWipe.rawValue)
      writer.uint32(request)
      return writer.packet()
    case .remakeStorage(let request):
      var writer = PacketWriter(kind: RuntimeKind.remakeStorage.rawValue)
      writer.uint32(request)
      return writer.packet()
    case .revocations(let request, let list):
      var writer = PacketWriter(kind: RuntimeKind.revocations.rawValue)
      writer.uint32(request)
      writer.longBytes(list, maximum: maximumRevocationsBytes)
      return writer.packet()
    case .commitIdentity(let request):
      var writer = PacketWriter(kind: RuntimeKind.commitIdentity.rawValue)
      writer.uint32(request)
      return writer.packet()
    case .audit(let device, let event):
      var writer = PacketWriter(kind: RuntimeKind.audit.rawValue)
      writer.fixed((device + [UInt8](repeating: 0, count: deviceBytes)).prefix(deviceBytes))
      writer.bytes(event.encoded, maximum: AuditEvent.maximum_bytes)
      return writer.packet()
    case .exportAudit(let request):
      var writer = PacketWriter(kind: RuntimeKind.exportAudit.rawValue)
      writer.uint32(request)
      return writer.packet()
    case .sign(let request, let digest):
      var writer = PacketWriter(kind: RuntimeKind.sign.rawValue)
      writer.uint32(request)
      writer.fixed((digest + [UInt8](repeating: 0, count: digestBytes)).prefix(digestBytes))
      return writer.packet()
    case .peerMoved(let request, let from, let address):
      var writer = PacketWriter(kind: RuntimeKind.peerMoved.rawValue)
      writer.uint32(request)
      writer.uint16(from.port)
      writer.addresses([from.address, address])
      return writer.packet()
    case .recoveryOffer(let request):
      var writer = PacketWriter(kind: RuntimeKind.recoveryOffer.rawValue)
      writer.uint32(request)
      return writer.packet()
    }
  }

  /// The message in a packet from the runtime. Throws where the packet is anything but one whole, known message.
  public static func decodeRuntimeMessage(_ bytes: [UInt8]) throws(LinkError) -> RuntimeMessage {
    let number = try kind(of: bytes)
    guard let kind = RuntimeKind(rawValue: number) else {
      throw LinkError("packet-kind", "kind \(number) is no message of the runtime")
    }
    var reader = PacketReader(bytes)
    let message = try runtimeMessage(kind, &reader)
    try reader.end()
    return message
  }

  private static func runtimeMessage(_ kind: RuntimeKind, _ reader: inout PacketReader) throws(LinkError) -> RuntimeMessage {
    switch kind {
    case .ready:
      return .ready
    case .heartbeat:
      return .heartbeat(try reader.uint64("count"))
    case .setOutput:
      return .setOutput(request: try reader.uint32("request"), name: try reader.name("name"), value: try reader.bool("value"))
    case .applyLease:
      let request = try reader.uint32("request")
      return .applyLease(request: request, try lease(&reader))
    case .dropLease:
      return .dropLease(request: try reader.uint32("request"))
    case .setHostName:
      return .setHostName(request: try reader.uint32("request"), try reader.name("name"))
    case .log:
      return .log(
        level: try reader.choice("level", LogLevel.self), source: try reader.name("source"),
        text: try reader.text("text", maximum: maximumLogBytes))
    case .raiseGrade:
      return .raiseGrade(
        request: try reader.uint32("request"), try reader.choice("grade", Grade.self), try reader.choice("cause", GradeCause.self),
        evidence: try reader.text("evidence", maximum: maximumEvidenceBytes))
    case .pinOwner:
      return .pinOwner(
        request: try reader.uint32("request"), device: try reader.fixed("device", count: deviceBytes),
        certificate: try reader.longBytes("certificate", maximum: SignedStatement.certificateMaximum_bytes))
    case .statement:
      let request = try reader.uint32("request")
      let statement = SignedStatement(
        kind: try reader.choice("kind", StatementKind.self), event: try reader.uint64("event"),
        nonce: try reader.fixed("nonce", count: GradeReport.nonce_bytes),
        body: try reader.bytes("body", maximum: SignedStatement.bodyMaximum_bytes),
        certificate: try reader.longBytes("certificate", maximum: SignedStatement.certificateMaximum_bytes),
        signature: try reader.bytes("signature", maximum: SignedStatement.signatureMaximum_bytes))
      guard let statement else { throw LinkError("packet-field", "statement: a part is too long") }
      return .statement(request: request, statement)
    case .destinationAddresses:
      return .destinationAddresses(request: try reader.uint32("request"), try reader.addresses("addresses"))
    case .allowWipe:
      return .allowWipe(request: try reader.uint32("request"))
    case .remakeStorage:
      return .remakeStorage(request: try reader.uint32("request"))
    case .revocations:
      return .revocations(request: try reader.uint32("request"), try reader.longBytes("list", maximum: maximumRevocationsBytes))
    case .commitIdentity:
      return .commitIdentity(request: try reader.uint32("request"))
    case .audit:
      let device = try reader.fixed("device", count: deviceBytes)
      guard let event = AuditEvent(encoded: try reader.bytes("event", maximum: AuditEvent.maximum_bytes)) else {
        throw LinkError("packet-field", "event: it is no event of the audit log")
      }
      guard event.kind.isRuntimes else { throw LinkError("packet-field", "event: \(event.kind.word) is not the runtime's to report") }
      return .audit(device: device, event)
    case .exportAudit:
      return .exportAudit(request: try reader.uint32("request"))
    case .sign:
      return .sign(request: try reader.uint32("request"), digest: try reader.fixed("digest", count: digestBytes))
    case .peerMoved:
      let request = try reader.uint32("request")
      let port = try reader.uint16("port")
      let addresses = try reader.addresses("addresses")
      guard addresses.count == 2, let from = PeerDestinations.Destination(address: addresses[0], port: port) else {
        throw LinkError("packet-field", "addresses: not the two of a peer that moved, or port 0")
      }
      return .peerMoved(request: request, from: from, to: addresses[1])
    case .recoveryOffer:
      return .recoveryOffer(request: try reader.uint32("request"))
    }
  }

  /// Bytes of a device's id.
  private static let deviceBytes = 10

  private static func lease(_ reader: inout PacketReader) throws(LinkError) -> NetworkLease {
    let address = try reader.uint32("address")
    let length = try reader.byte("prefixLength")
    guard let prefix = IPv4Prefix(address: address, prefixLength: length) else {
      throw LinkError("packet-field", "prefixLength: \(length) is more than 32")
    }
    let router = try reader.uint32("router")
    let count = try reader.byte("resolvers")
    guard count <= 3 else { throw LinkError("packet-field", "resolvers: \(count), of which 3 are allowed") }
    var resolvers: [UInt32] = []
    for _ in 0..<count { resolvers.append(try reader.uint32("resolver")) }
    return NetworkLease(prefix: prefix, router: router, resolvers: resolvers, valid_s: try reader.uint32("valid_s"))
  }
}
