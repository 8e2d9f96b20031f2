internal import FoundationEssentials
internal import Foundations

/// What the operator remembers of one device.
public struct KnownDevice: Codable, Equatable, Sendable {
  /// 20 hexadecimal digits.
  public var deviceId: String
  /// A name that the operator gave it.
  public var alias: String?
  /// Where it was last reached: `HOST:PORT`; nil once another device answers there.
  public var address: String?
  public var serialNumber: String?
  public var model: String?
  /// Set once it is claimed: the id of the owner whose CA it obeys.
  public var ownerId: String?
  /// The folder of that owner, where it is not the usual one.
  public var ownerFolder: String?
  /// Which of the owner's members the operator is.
  public var person: String?
  /// Where it was told from here to reach its peers: `HOST:PORT` by device id.
  public var places: [String: String]?

  public init(
    deviceId: String, alias: String? = nil, address: String?, serialNumber: String? = nil, model: String? = nil, ownerId: String? = nil,
    ownerFolder: String? = nil, person: String? = nil
  ) {
    self.deviceId = deviceId
    self.alias = alias
    self.address = address
    self.serialNumber = serialNumber
    self.model = model
    self.ownerId = ownerId
    self.ownerFolder = ownerFolder
    self.person = person
  }

  /// The alias where there is one, else the id.
  public var name: String { alias ?? deviceId }
}

/// The devices that the operator knows, as `devices.json` keeps them.
public struct DeviceBook: Codable, Equatable, Sendable {
  /// The form of the file; a tool that finds a higher number refuses instead of guessing.
  public static let currentVersion = 1
  /// More devices than one operator's folder is meant for; a larger file is taken as broken.
  public static let mostDevices = 10_000

  public private(set) var version = Self.currentVersion
  public private(set) var devices: [KnownDevice] = []

  public init() {}

  /// Reads the book of `home`; an absent file is an empty book.
  public static func load(_ home: OperatorHome) throws(OperatorError) -> DeviceBook {
    let path = home.devicesFile
    guard PrivateFiles.exists(path) else { return DeviceBook() }
    let content = try PrivateFiles.read(path)
    let book: DeviceBook
    do {
      book = try JSONDecoder().decode(DeviceBook.self, from: Data(content))
    } catch {
      throw OperatorError(
        "file-malformed", "\(path) is not a list of devices: \(explain(decoding: error)); repair it, or move it away and claim again",
        cause: nil)
    }
    guard book.version == currentVersion else {
      throw OperatorError(
        "file-malformed",
        "\(path) has version \(book.version) and this haechi reads version \(currentVersion); use the haechi that wrote it")
    }
    guard book.devices.count <= mostDevices else { throw OperatorError("file-malformed", "\(path) lists more than \(mostDevices) devices") }
    for device in book.devices {
      guard DeviceIdentifier(device.deviceId)?.text == device.deviceId else {
        throw OperatorError(
          "file-malformed", "\(path): '\(printable(device.deviceId))' is no device id, which is 20 lower-case hexadecimal digits")
      }
      if let address = device.address { _ = try Endpoint(address) }
      if let alias = device.alias { try Self.check(alias: alias) }
    }
    return book
  }

  /// Reads the book, lets `change` alter it and writes it back, with no other haechi in between.
  public static func update(_ home: OperatorHome, _ change: (inout DeviceBook) throws(OperatorError) -> Void) throws(OperatorError) {
    try PrivateFiles.makeFolder(home.path)
    try PrivateFiles.locked(home.path + "/.lock") { () throws(OperatorError) in
      var book = try load(home)
      let before = book
      try change(&book)
      guard book != before else { return }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      let content: Data
      do {
        content = try encoder.encode(book)
      } catch {
        throw OperatorError("file-unwritable", "the list of devices could not be written as JSON", cause: error)
      }
      try PrivateFiles.write(Array(content) + [0x0a], to: home.devicesFile, existing: .replace)
    }
  }

  /// Remembers `device`; the entry of the same id is replaced, and keeps its alias where the new one names none.
  ///
  /// - Throws: `bad-argument` when the alias is no name or another device has it.
  public mutating func remember(_ device: KnownDevice) throws(OperatorError) {
    var device = device
    let index = devices.firstIndex { $0.deviceId == device.deviceId }
    if let alias = device.alias {
      try checkFree(alias: alias, for: device.deviceId)
    } else if let index {
      device.alias = devices[index].alias
    }
    if let index { devices[index] = device } else { devices.append(device) }
    // Two devices do not answer at one address: whoever was there before is somewhere else now, or gone.
    for other in devices.indices where devices[other].deviceId != device.deviceId && devices[other].address == device.address {
      devices[other].address = nil
    }
  }

  /// The device of that id answers at `endpoint` now.
  public mutating func moved(_ deviceId: String, to endpoint: Endpoint) throws(OperatorError) {
    guard var device = devices.first(where: { $0.deviceId == deviceId }) else { return }
    device.address = endpoint.description
    try remember(device)
  }

  /// The device of that id was told to reach its peers at `places`.
  mutating func told(_ deviceId: String, _ places: [String: String]) {
    guard let index = devices.firstIndex(where: { $0.deviceId == deviceId }) else { return }
    devices[index].places = places.isEmpty ? nil : places
  }

  /// Forgets the device of that id; says whether it was known.
  public mutating func forget(_ deviceId: String) -> Bool {
    let count = devices.count
    devices.removeAll { $0.deviceId == deviceId }
    return devices.count != count
  }

  /// Refuses what is no alias, and one that another device than the one of that id has.
  ///
  /// - Throws: `bad-argument`.
  func checkFree(alias: String, for deviceId: String) throws(OperatorError) {
    try Self.check(alias: alias)
    if let other = devices.first(where: { $0.alias == alias && $0.deviceId != deviceId }) {
      throw OperatorError("bad-argument", "the alias '\(alias)' already belongs to device \(other.deviceId); choose another")
    }
  }

  /// An alias is 1…40 letters, digits, `-`, `_`: it must not look like an address, an id or an option.
  static func check(alias: String) throws(OperatorError) {
    let plain = alias.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard plain, (1...40).contains(alias.utf8.count), !alias.hasPrefix("-"), DeviceIdentifier(alias) == nil else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(alias))' cannot be an alias: use 1 to 40 letters, digits, '-' or '_', not starting with '-', and not 20 hexadecimal digits"
      )
    }
  }

  /// What `--device` meant.
  public enum Choice: Equatable, Sendable {
    /// A device that the book knows.
    case known(KnownDevice)
    /// An address that no known device has.
    case address(Endpoint)
  }

  /// Finds the device that `text` names: an id, an alias, or the address of a known or an unknown one. Without a text the only known device
  /// that has an address is meant.
  ///
  /// - Throws: `unknown-device`, `ambiguous-device`, `bad-argument`.
  public func choose(_ text: String?) throws(OperatorError) -> Choice {
    guard let text else {
      let reachable = devices.filter { $0.address != nil }
      guard let first = reachable.first else {
        throw OperatorError("unknown-device", "no device is known yet; claim one with: haechi claim --device HOST:PORT")
      }
      guard reachable.count == 1 else {
        let names = reachable.prefix(8).map(\.name).joined(separator: ", ") + (reachable.count > 8 ? ", …" : "")
        throw OperatorError("ambiguous-device", "\(reachable.count) devices are known (\(names)); say which with --device NAME")
      }
      return .known(first)
    }
    if let id = DeviceIdentifier(text) {
      guard let device = devices.first(where: { $0.deviceId == id.text }) else {
        throw OperatorError(
          "unknown-device", "device \(id.text) is not known here; claim it with: haechi claim --device HOST:PORT, or see: haechi devices")
      }
      return .known(device)
    }
    if let device = devices.first(where: { $0.alias == text }) { return .known(device) }
    let endpoint = try Endpoint(text)
    if let there = devices.first(where: { $0.address.flatMap { try? Endpoint($0) } == endpoint }) { return .known(there) }
    return .address(endpoint)
  }
}
