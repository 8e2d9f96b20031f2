internal import Foundations
internal import SupervisorLink

/// What a restart of the machine must not make the supervisor forget. All of it is about one owner: a device without one has nothing to keep, and
/// nobody who could end a quarantine.
struct Belief: Equatable {
  struct Quarantine: Equatable {
    /// `quarantined` or beyond.
    let grade: Grade
    let cause: GradeCause
    let event: UInt64
    let evidence: String
  }

  let owner: PinnedOwner
  /// The owner's newest revocation list, DER, or empty.
  var revocations: [UInt8] = []
  var destination: CloudDestination?
  /// Of the destination: its own where it is numeric, else those that DNS gave last.
  var addresses: [NetworkAddress] = []
  var peers = PeerDestinations.none
  /// Whether the device may speak multicast DNS.
  var discovers = false
  /// nil in a lower grade: what anyone on the network can bring about ends by itself, and with a restart too.
  var quarantine: Quarantine?
}

/// The binary form of a belief. Integers are big-endian; there is one form for each belief.
///
///      1   format: 1, or 2 where discovery is on
///      1   0: no owner, and this is all; 1: an owner
///     10   device id
///      2   bytes of the owner CA's certificate, and the certificate (1 to 1,024)
///      2   bytes of the revocation list, and the list (0 to 11,000)
///      1   bytes of the broker, and port (2) and host; 0 for none
///      1   how many addresses it has (0 to 4); each: bytes (4 or 16), and the address
///      1   bytes of the places of peers, and the places
///      1   0: no quarantine; 1: grade (1), cause (1), event (8), bytes of the evidence (1) and the evidence (0 to 120)
enum BeliefRecord {
  private static let format: UInt8 = 1
  /// As the format before in all else: what firmware that knows of no discovery has kept is read as it stands.
  private static let formatWithDiscovery: UInt8 = 2
  private static let device_bytes = 10

  static func encoded(_ belief: Belief?) -> [UInt8] {
    guard let belief else { return [format, 0] }
    var bytes: [UInt8] = [belief.discovers ? formatWithDiscovery : format, 1] + belief.owner.device
    put(belief.owner.certificate, length_bytes: 2, &bytes)
    put(belief.revocations, length_bytes: 2, &bytes)
    put(belief.destination?.encoded ?? [], length_bytes: 1, &bytes)
    bytes.append(UInt8(truncatingIfNeeded: belief.addresses.count))
    for address in belief.addresses { put(address.bytes, length_bytes: 1, &bytes) }
    put(belief.peers.encoded, length_bytes: 1, &bytes)
    bytes.append(belief.quarantine == nil ? 0 : 1)
    guard let quarantine = belief.quarantine else { return bytes }
    bytes.append(quarantine.grade.rawValue)
    bytes.append(quarantine.cause.rawValue)
    for shift in stride(from: UInt64(56), through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: quarantine.event >> shift)) }
    put(Array(SupervisorPacket.cut(quarantine.evidence, to: SupervisorPacket.maximumEvidenceBytes).utf8), length_bytes: 1, &bytes)
    return bytes
  }

  private static func put(_ field: [UInt8], length_bytes: Int, _ bytes: inout [UInt8]) {
    if length_bytes == 2 { bytes.append(UInt8(truncatingIfNeeded: field.count >> 8)) }
    bytes.append(UInt8(truncatingIfNeeded: field.count))
    bytes += field
  }

  /// The belief in a record; nil in one of a device without an owner. Total: throws, naming the field, at anything but a whole record.
  static func belief(_ bytes: [UInt8]) throws(SupervisorError) -> Belief? {
    var reader = BeliefReader(bytes)
    let format = try reader.byte("format")
    guard format == Self.format || format == formatWithDiscovery else { throw refused("format") }
    guard try reader.bool("owner") else {
      guard format == Self.format else { throw refused("format") }
      try reader.end()
      return nil
    }
    let device = try reader.take(device_bytes, "device")
    let certificate = try reader.field("certificate", length_bytes: 2, SignedStatement.certificateMaximum_bytes)
    guard !certificate.isEmpty else { throw refused("certificate") }
    var belief = Belief(owner: PinnedOwner(device: device, certificate: certificate))
    belief.discovers = format == formatWithDiscovery
    belief.revocations = try reader.field("revocations", length_bytes: 2, SupervisorPacket.maximumRevocationsBytes)
    (belief.destination, belief.addresses) = try broker(&reader)
    guard let peers = PeerDestinations(encoded: try reader.field("peers", length_bytes: 1, PeerDestinations.encodedMaximum_bytes)) else {
      throw refused("peers")
    }
    belief.peers = peers
    if try reader.bool("quarantine") { belief.quarantine = try quarantine(&reader) }
    try reader.end()
    return belief
  }

  private static func broker(_ reader: inout BeliefReader) throws(SupervisorError) -> (CloudDestination?, [NetworkAddress]) {
    let encoded = try reader.field("broker", length_bytes: 1, 2 + CloudDestination.hostMaximum_bytes)
    let count = try reader.byte("addresses")
    guard count <= DestinationReport.maximumAddresses else { throw refused("addresses") }
    var addresses: [NetworkAddress] = []
    for _ in 0..<count {
      guard let address = NetworkAddress(bytes: try reader.field("address", length_bytes: 1, 16)) else { throw refused("address") }
      addresses.append(address)
    }
    guard !encoded.isEmpty else {
      guard addresses.isEmpty else { throw refused("addresses") }
      return (nil, [])
    }
    guard let destination = CloudDestination(encoded: encoded) else { throw refused("broker") }
    // A numeric broker has its own address and no other; those of a name are hosts, as they were when they were taken.
    guard destination.address.map({ addresses == [$0] }) ?? addresses.allSatisfy(\.isUnicastHost) else { throw refused("addresses") }
    return (destination, addresses)
  }

  private static func quarantine(_ reader: inout BeliefReader) throws(SupervisorError) -> Belief.Quarantine {
    guard let grade = Grade(rawValue: try reader.byte("grade")), grade >= .quarantined else { throw refused("grade") }
    guard let cause = GradeCause(rawValue: try reader.byte("cause")), cause.ceiling >= .quarantined else { throw refused("cause") }
    let event = try reader.take(8, "event").reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let evidence = try reader.field("evidence", length_bytes: 1, SupervisorPacket.maximumEvidenceBytes)
    guard let text = String(validating: evidence, as: UTF8.self) else { throw refused("evidence") }
    return Belief.Quarantine(grade: grade, cause: cause, event: event, evidence: text)
  }

  fileprivate static func refused(_ field: StaticString) -> SupervisorError {
    SupervisorError(code: "beliefs-refused", reason: "\(field) is not as it should be")
  }
}

/// The fields of a record, one after the other.
private struct BeliefReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  mutating func take(_ count: Int, _ field: StaticString) throws(SupervisorError) -> [UInt8] {
    guard rest.count >= count else { throw BeliefRecord.refused(field) }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  mutating func byte(_ field: StaticString) throws(SupervisorError) -> UInt8 {
    guard let byte = rest.popFirst() else { throw BeliefRecord.refused(field) }
    return byte
  }

  mutating func bool(_ field: StaticString) throws(SupervisorError) -> Bool {
    let byte = try byte(field)
    guard byte <= 1 else { throw BeliefRecord.refused(field) }
    return byte == 1
  }

  mutating func field(_ name: StaticString, length_bytes: Int, _ maximum: Int) throws(SupervisorError) -> [UInt8] {
    let count = try take(length_bytes, name).reduce(0) { $0 << 8 | Int($1) }
    guard count <= maximum else { throw BeliefRecord.refused(name) }
    return try take(count, name)
  }

  func end() throws(SupervisorError) { guard rest.isEmpty else { throw BeliefRecord.refused("end") } }
}
