import Crypto
import Foundations
import Glibc
import Identity
import SupervisorLink

/// Packets straight into the link to the supervisor, past everything that DeviceCore would say.
struct LinkAttempts {
  /// Where a runtime finds its end of the link.
  private static let link: CInt = 3
  /// DeviceCore's own requests count up from 1, so its answers are not taken for these.
  private static let request: UInt32 = 0xffff_ff00

  /// There is no message that lowers the grade: a request for `normal`, and releases that no admin of the owner signed for this event.
  func lowerGrade(_ facts: StolenFacts) async -> [String] {
    var lines = [send("raiseGrade normal", .raiseGrade(request: Self.request, .normal, .requested, evidence: "all is well"))]
    var releases = [
      Order("release with garbage for a signature", facts.event, facts.nonce, facts.certificate, [UInt8](repeating: 0xa5, count: 64)),
      Order("release with the owner's old signature for the old event", facts.oldEvent, facts.oldNonce, facts.certificate, facts.oldSignature),
      Order("release with the owner's old signature for this event", facts.event, facts.nonce, facts.certificate, facts.oldSignature),
    ]
    do throws(CryptoError) {
      let impostor = try Impostor(device: facts.device)
      let signature = try impostor.signature(kind: OwnerStatement.release, event: facts.event, nonce: facts.nonce)
      releases += [
        Order("release with the admin's certificate and another key's signature", facts.event, facts.nonce, facts.certificate, signature),
        Order("release with an owner and an admin of its own making", facts.event, facts.nonce, impostor.certificate.der, signature),
      ]
    } catch {
      lines.append("release: \(error)")
    }
    for order in releases { lines.append(await give(order, .release, body: [])) }
    return lines
  }

  /// An owner of its own making in place of the pinned one.
  func pinAnotherOwner(_ facts: StolenFacts) -> [String] {
    do throws(CryptoError) {
      let impostor = try Impostor(device: facts.device)
      let device = bytes(hexadecimal: facts.device) ?? []
      return [send("pinOwner", .pinOwner(request: Self.request, device: device, certificate: impostor.authority.der))]
    } catch {
      return ["pinOwner: \(error)"]
    }
  }

  /// More addresses than a name has, each time others; fewer packets than would end the runtime for flooding.
  func floodAddresses() -> [String] {
    var sent = 0
    for round in 0..<60 as Range<UInt32> {
      let addresses = (0..<4 as Range<UInt32>).map { NetworkAddress(ipv4: 0xc633_6400 + round * 4 + $0) }
      if write(SupervisorPacket.encode(.destinationAddresses(request: Self.request, addresses))) == nil { sent += 1 }
    }
    return ["destinationAddresses: sent \(sent) of 60"]
  }

  /// A broker of its own, ordered by an admin of its own.
  func bindAnotherBroker(_ facts: StolenFacts) async -> [String] {
    guard let destination = CloudDestination(host: "198.51.100.1", port: 8883) else { return ["bindCloud: no destination"] }
    let body = destination.encoded
    let orders: [Order]
    do throws(CryptoError) {
      let impostor = try Impostor(device: facts.device)
      let signature = try impostor.signature(kind: OwnerStatement.bindCloud, event: facts.event, nonce: facts.nonce, body: body)
      orders = [
        Order("bindCloud with an owner and an admin of its own making", facts.event, facts.nonce, impostor.certificate.der, signature),
        Order("bindCloud with the admin's certificate and another key's signature", facts.event, facts.nonce, facts.certificate, signature),
      ]
    } catch {
      return ["bindCloud: \(error)"]
    }
    var lines: [String] = []
    for order in orders { lines.append(await give(order, .bindCloud, body: body)) }
    return lines
  }

  /// A kind that there is not, as if somewhere a message were that lowers the grade.
  func inventMessage() -> [String] {
    var packet = [UInt8](repeating: 0, count: SupervisorPacket.size)
    packet[0] = SupervisorPacket.version
    packet[1] = 0xfe
    return [outcome("a message of the kind 0xfe", write(packet))]
  }

  /// A statement that nobody should believe.
  private struct Order {
    let what: String
    let event: UInt64
    let nonce: [UInt8]
    let certificate: [UInt8]
    let signature: [UInt8]

    init(_ what: String, _ event: UInt64, _ nonce: [UInt8], _ certificate: [UInt8], _ signature: [UInt8]) {
      self.what = what
      self.event = event
      self.nonce = nonce
      self.certificate = certificate
      self.signature = signature
    }
  }

  private func give(_ order: Order, _ kind: StatementKind, body: [UInt8]) async -> String {
    guard
      let statement = SignedStatement(
        kind: kind, event: order.event, nonce: order.nonce, body: body, certificate: order.certificate, signature: order.signature)
    else { return "\(order.what): too long to send" }
    let said = send(order.what, .statement(request: Self.request, statement))
    // The supervisor looks at one statement at a time: each of these shall be judged, and not turned away because the last one still is.
    try? await Task.sleep(for: .milliseconds(1_500))
    return said
  }

  private func send(_ what: String, _ message: RuntimeMessage) -> String { outcome(what, write(SupervisorPacket.encode(message))) }

  private func outcome(_ what: String, _ failure: CInt?) -> String {
    if let failure { "\(what): send: \(systemErrorMessage(failure))" } else { "\(what): sent" }
  }

  /// nil, or `errno`.
  private func write(_ packet: [UInt8]) -> CInt? {
    Glibc.send(Self.link, packet, packet.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)) == packet.count ? nil : errno
  }
}

/// An owner and its admin that nobody knows, flawless but for that.
private struct Impostor {
  let authority: Certificate
  let certificate: Certificate
  private let key: PrivateKey
  private let device: DeviceIdentifier

  init(device: String) throws(CryptoError) {
    guard let device = DeviceIdentifier(device), let name = PersonName("mallory") else {
      throw CryptoError(code: "malformed-input", reason: "\(device) is no device's id")
    }
    let now_s = WallClock(floor_s: 0).now_s()
    let authorityKey = try PrivateKey.generateP256()
    authority = try OwnerAuthorityProfile.make(key: authorityKey, now_s: now_s)
    key = try PrivateKey.generateP256()
    let template = PersonProfile.template(owner: OwnerIdentifier(authority: authority), name: name, role: .admin, now_s: now_s)
    certificate = try CertificateIssuer(certificate: authority, key: authorityKey).issue(template, publicKey: key.publicKey)
    self.device = device
  }

  func signature(kind: UInt8, event: UInt64, nonce: [UInt8], body: [UInt8] = []) throws(CryptoError) -> [UInt8] {
    guard let statement = OwnerStatement(kind: kind, device: device, event: event, nonce: nonce, body: body) else {
      throw CryptoError(code: "malformed-input", reason: "the nonce has not 32 bytes")
    }
    return try statement.sign(with: key)
  }
}
