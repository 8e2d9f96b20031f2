public import Foundations

/// The topics of one device.
public struct CloudTopics: Hashable, Sendable {
  /// `haechi/<device id>`.
  public let root: String

  public init(_ device: DeviceIdentifier) { root = "haechi/\(device)" }

  public func reading(_ name: String) -> String { "\(root)/reading/\(name)" }
  public var event: String { "\(root)/event" }
  public var status: String { "\(root)/status" }
  /// Where a device asks to be forgotten, and where it hears that it is.
  public var erase: String { "\(root)/erase" }
  public var erased: String { "\(root)/erased" }
  /// The filter that holds every command.
  public var commands: String { "\(commandPrefix)+" }
  var commandPrefix: String { "\(root)/command/" }
  /// Where answers may go: nobody can make a device publish anything else.
  var replyPrefix: String { "\(root)/reply/" }
}
