import Foundations
import Identity
import LocalAPI

extension Device {
  /// owned → provisioned, by the owner's own word: the owner, the LDevID, the peers and the binding are gone, and whoever holds the label claims it next.
  ///
  /// - Parameter order: has the supervisor carry out the owner's statement; it forgets the owner and restarts the machine soon after.
  func transfer(connection: UInt64, caller: String, order: () async throws(Problem) -> Void) async throws(Problem) {
    _ = try begin([.owned])
    defer { end() }
    try await wipe(.owner, connection: connection) { () async throws(Problem) in
      try await order()
      log.append(.notice, source: "core", "\(caller) released the device to a new owner: it is wiped")
    }
  }

  /// owned → provisioned, by a hand that held the button.
  ///
  /// - Parameter order: asks the supervisor, which has seen the hand.
  func wipeByHand(order: () async throws(Problem) -> Void) async throws(Problem) {
    _ = try begin([.owned])
    defer { end() }
    try await wipe(.button, connection: Self.noConnection) { () async throws(Problem) in
      try await order()
      log.append(.notice, source: "core", "the button was held: the device is wiped")
    }
  }
}
