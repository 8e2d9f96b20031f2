internal import Crypto

/// An owner whose folder is known here.
public struct OwnerRecord: Encodable, Sendable, Equatable {
  /// 20 hexadecimal digits.
  public let ownerId: String
  public let folder: String
  /// RFC 3339, UTC.
  public let validUntil: String
  /// How many members have a certificate there.
  public let members: Int
  /// How many known devices are this owner's.
  public let devices: Int

  /// The owner in `folder`.
  public init(_ owner: OwnerFolder, home: OperatorHome) throws(OperatorError) {
    ownerId = owner.ownerId
    folder = owner.folder
    validUntil = rfc3339(owner.authority.notAfter_s)
    members = try owner.members().count
    let id = owner.ownerId
    devices = try DeviceBook.load(home).devices.count { $0.ownerId == id }
  }

  /// The owners of `home`: the usual one, and those in whose folders devices were claimed.
  ///
  /// - Throws: what is wrong with a folder, naming it; a folder that is not there any more is left out.
  public static func all(_ home: OperatorHome) throws(OperatorError) -> [OwnerRecord] {
    var folders = [home.ownerFolder]
    for device in try DeviceBook.load(home).devices {
      if let folder = device.ownerFolder, !folders.contains(folder) { folders.append(folder) }
    }
    var owners: [OwnerRecord] = []
    for folder in folders where OwnerFolder.exists(folder) { owners.append(try OwnerRecord(try OwnerFolder.open(folder), home: home)) }
    return owners
  }
}
