public import Foundations

/// Where somebody says that a device is. A hint and no more: who is there, only a handshake tells.
public struct Sighting: Hashable, Sendable {
  public let device: DeviceIdentifier
  public let address: NetworkAddress
  public let port: UInt16

  public init(device: DeviceIdentifier, address: NetworkAddress, port: UInt16) {
    self.device = device
    self.address = address
    self.port = port
  }
}

/// What neighbours say of devices, put together from their messages; bounded, whoever says what.
public struct Sightings: Sendable {
  /// More devices than this are not taken down.
  public static let maximumDevices = 256
  /// A host has at most this many addresses here.
  static let maximumAddresses = 4

  private var places: [DeviceIdentifier: (host: DomainName, port: UInt16)] = [:]
  private var addresses: [DomainName: [NetworkAddress]] = [:]

  public init() {}

  /// Asks every device to say where it is.
  public static var question: MulticastMessage {
    var message = MulticastMessage(isResponse: false)
    message.questions = [MulticastQuestion(Announcement.service, RecordType.ptr)]
    return message
  }

  /// Asks one device.
  public static func question(about device: DeviceIdentifier) -> MulticastMessage {
    var message = MulticastMessage(isResponse: false)
    message.questions = [
      MulticastQuestion(Announcement.instance(of: device), RecordType.srv), MulticastQuestion(Announcement.host(of: device), RecordType.a),
    ]
    return message
  }

  /// What `message` says counts beside what was said before; a good-bye takes it back.
  public mutating func take(_ message: MulticastMessage) {
    guard message.isResponse else { return }
    // What is a host's alone replaces what it had before (RFC 6762 section 10.2).
    for record in message.records where record.isUnique && record.type == RecordType.a { addresses[record.name]?.removeAll(where: \.isIPv4) }
    for record in message.records {
      switch record.content {
      case .service(_, _, let port, let target):
        guard let device = Announcement.device(of: record.name) else { continue }
        if record.lifetime_s == 0 || port == 0 {
          places[device] = nil
        } else if places[device] != nil || places.count < Self.maximumDevices {
          places[device] = (target, port)
        }
      case .address(let address): take(address, of: record)
      case .pointer, .other: continue
      }
    }
  }

  private mutating func take(_ address: NetworkAddress, of record: ResourceRecord) {
    guard record.lifetime_s > 0 else {
      addresses[record.name]?.removeAll { $0 == address }
      return
    }
    // Of hosts that are named as this program's are: others have nothing to do with it, and there may be any number of them.
    guard let first = record.name.labels.first, String(validating: first, as: UTF8.self).flatMap({ DeviceIdentifier($0) }) != nil else { return }
    var known = addresses[record.name] ?? []
    guard !known.contains(address), known.count < Self.maximumAddresses, addresses.count < Self.maximumDevices || addresses[record.name] != nil else {
      return
    }
    known.append(address)
    addresses[record.name] = known
  }

  /// Every place that was said, by device id.
  public var all: [Sighting] {
    places.flatMap { device, place in (addresses[place.host] ?? []).map { Sighting(device: device, address: $0, port: place.port) } }
      .sorted { ($0.device.text, $0.address.description) < ($1.device.text, $1.address.description) }
  }
}
