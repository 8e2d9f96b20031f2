public import Foundations

/// What a device says of itself to its neighbours: who it is, and where its one port is. No serial number, no owner, no model.
public struct Announcement: Hashable, Sendable {
  public let device: DeviceIdentifier
  public let address: NetworkAddress
  /// TCP.
  public let port: UInt16

  public init(device: DeviceIdentifier, address: NetworkAddress, port: UInt16) {
    self.device = device
    self.address = address
    self.port = port
  }

  /// RFC 6762 section 10: of what names a host, and of everything else.
  static let hostLifetime_s: UInt32 = 120
  static let otherLifetime_s: UInt32 = 4_500

  /// What the service is called (RFC 6763 section 7), and where all services of a network are asked for (section 9).
  public static let service = DomainName(known: ["_haechi", "_tcp", "local"])
  static let services = DomainName(known: ["_services", "_dns-sd", "_udp", "local"])
  private static let domain = DomainName(known: ["local"])

  /// `<device id>._haechi._tcp.local`
  public static func instance(of device: DeviceIdentifier) -> DomainName { DomainName(known: [device.text], service) }
  /// `<device id>.local`
  public static func host(of device: DeviceIdentifier) -> DomainName { DomainName(known: [device.text], domain) }

  /// The device that an instance's name names; nil where it is no instance of this service, or not named as a device is.
  static func device(of instance: DomainName) -> DeviceIdentifier? {
    guard let first = instance.labels.first, Array(instance.labels.dropFirst()) == service.labels else { return nil }
    return String(validating: first, as: UTF8.self).flatMap { DeviceIdentifier($0) }
  }

  var instance: DomainName { Self.instance(of: device) }
  var host: DomainName { Self.host(of: device) }

  /// Names that are this device's alone.
  var uniqueNames: Set<DomainName> { [instance, host] }

  var pointer: ResourceRecord { ResourceRecord(Self.service, .pointer(instance), lifetime_s: Self.otherLifetime_s, isUnique: false) }
  var kind: ResourceRecord { ResourceRecord(Self.services, .pointer(Self.service), lifetime_s: Self.otherLifetime_s, isUnique: false) }
  var location: ResourceRecord {
    ResourceRecord(instance, .service(priority: 0, weight: 0, port: port, target: host), lifetime_s: Self.hostLifetime_s, isUnique: true)
  }
  /// The version of this text (RFC 6763 section 6.7), because a service must have one; there is nothing more to say.
  var text: ResourceRecord {
    let version = Array("txtvers=1".utf8)
    return ResourceRecord(
      instance, .other(type: RecordType.txt, [UInt8(truncatingIfNeeded: version.count)] + version), lifetime_s: Self.otherLifetime_s, isUnique: true)
  }
  var place: ResourceRecord { ResourceRecord(host, .address(address), lifetime_s: Self.hostLifetime_s, isUnique: true) }

  /// What is announced, and what is taken back.
  var records: [ResourceRecord] { [pointer, location, text, place] }
  /// What must be nobody else's.
  var uniqueRecords: [ResourceRecord] { [location, text, place] }

  /// That a name of this device's has no other types than these (RFC 6762 section 6.1).
  private func nothingElse(_ name: DomainName, _ lifetime_s: UInt32) -> ResourceRecord {
    let types = uniqueRecords.filter { $0.name == name }.map(\.type)
    var bitmap = [UInt8](repeating: 0, count: Int(types.max() ?? 0) / 8 + 1)
    for type in types { bitmap[Int(type) / 8] |= 0x80 >> UInt8(truncatingIfNeeded: type % 8) }
    return ResourceRecord(
      name, .other(type: RecordType.nsec, name.encoded + [0, UInt8(truncatingIfNeeded: bitmap.count)] + bitmap), lifetime_s: lifetime_s, isUnique: true)
  }

  /// What answers a question; empty where it is not about this device.
  func answers(to question: MulticastQuestion) -> [ResourceRecord] {
    let matches = (records + [kind]).filter { $0.name == question.name && (question.type == RecordType.any || question.type == $0.type) }
    guard matches.isEmpty, uniqueNames.contains(question.name) else { return matches }
    return [nothingElse(question.name, Self.hostLifetime_s)]
  }

  /// What whoever gets these answers will want to know next (RFC 6763 section 12).
  func additionals(to answers: [ResourceRecord]) -> [ResourceRecord] {
    var more: [ResourceRecord] = []
    if answers.contains(pointer) { more += [location, text, place] }
    if answers.contains(location) { more.append(place) }
    return more.reduce(into: []) { list, record in if !answers.contains(record), !list.contains(record) { list.append(record) } }
  }
}
