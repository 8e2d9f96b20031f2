/// The operator's folder: everything that `haechi` remembers between two commands.
///
/// ```
/// devices.json            the devices it knows: id, address, alias, who owns them
/// broker.json             the broker of the last haechi cloud bind, and the CA that it belongs to
/// maker/                  a throwaway maker's CA and its station certificate, when made here
/// known-makers/ID.pem     maker CAs that the operator has trusted, by the digest of their key
/// owner/ca.pem, ca.key    the owner's CA, its key under the owner's passphrase; made by owner new or the first claim
/// owner/members/NAME.pem, NAME.key   the certificates of the members who may use its devices
/// owner/devices.pem       the operational certificates that were issued to devices and have not ended
/// owner/revocations.pem   what the owner has withdrawn
/// audit/DEVICE.json       what is remembered of each device's audit log
/// labels/SERIAL.txt, SERIAL.png      the labels of devices that were provisioned here
/// ```
public struct OperatorHome: Sendable, Equatable {
  /// The folder's path, without a slash at its end.
  public let path: String

  public init(path: String) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
  }

  /// `HAECHI_HOME`, else `XDG_CONFIG_HOME/haechi`, else `HOME/.config/haechi`.
  ///
  /// - Throws: `bad-argument` when none of the three is set.
  public init(environment: [String: String]) throws(OperatorError) {
    if let home = environment["HAECHI_HOME"], !home.isEmpty {
      self.init(path: home)
    } else if let configuration = environment["XDG_CONFIG_HOME"], configuration.hasPrefix("/") {
      // The XDG base directory specification: a relative path is to be ignored.
      self.init(path: configuration + "/haechi")
    } else if let home = environment["HOME"], !home.isEmpty {
      self.init(path: home + "/.config/haechi")
    } else {
      throw OperatorError(
        "bad-argument", "neither HAECHI_HOME nor HOME is set, so there is no folder to keep keys in; set HAECHI_HOME to one")
    }
  }

  public var devicesFile: String { path + "/devices.json" }
  public var brokerFile: String { path + "/broker.json" }
  public var makerFolder: String { path + "/maker" }
  public var knownMakersFolder: String { path + "/known-makers" }
  public var ownerFolder: String { path + "/owner" }
  public var auditFolder: String { path + "/audit" }
  public var labelsFolder: String { path + "/labels" }
}
