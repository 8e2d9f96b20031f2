extension Sheet {
  /// What is known of a device's recovery key.
  public static func recoveryKey(_ state: RecoveryKeyState) -> [String] {
    let now =
      if state.state == "in-force" {
        "the disk has the recovery key \(printable(state.fingerprint ?? "?")), ordered at \(printable(state.orderedAt ?? "?"))"
      } else {
        "the disk has no recovery key"
      }
    switch state.pending {
    case "set": return [now, "another one is ordered; the device restarts for it"]
    case "remove": return [now, "its removal is ordered; the device restarts for it"]
    default: return [now]
    }
  }
}
