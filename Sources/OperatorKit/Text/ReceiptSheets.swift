internal import Identity

extension Sheet {
  /// A verified receipt, in lines.
  public static func receipt(_ receipt: VerifiedReceipt) -> [String] {
    let statement = receipt.statement
    let keys =
      if let before = statement.identityEpochBefore, let after = statement.identityEpochAfter {
        "\(keeper(statement.rootOfTrust)): life \(before) of the device has ended, life \(after) began; no key of before opens anything again"
      } else {
        "none: the device kept no encrypted storage; its files were removed"
      }
    return [
      "device \(statement.deviceId) signed that it was wiped",
      "  serial number  \(printable(statement.serialNumber))",
      "  former owner   \(printable(statement.formerOwnerId))",
      "  ordered by     \(orderer(statement.cause))",
      "  at             \(printable(statement.time)), by the device's clock",
      "  keys           \(keys)",
      "  cloud          \(cloud(statement.cloudErasure))",
      "  maker's CA     \(receipt.makerFingerprint)",
    ]
  }

  private static func orderer(_ cause: WipeStatement.Cause) -> String {
    switch cause {
    case .owner: "an admin of its owner"
    case .label: "whoever held its label and pressed its button"
    case .button: "whoever held its button until the light was steady"
    }
  }

  private static func cloud(_ erasure: WipeStatement.CloudErasure?) -> String {
    switch erasure {
    case .confirmed: "told the device that it erased what it held of it"
    case .unconfirmed: "did not confirm that it erased what it holds: ask its keeper"
    case .some(.none): "the device had none"
    case nil: "not asked by that firmware"
    }
  }

  private static func keeper(_ rootOfTrust: String) -> String {
    switch rootOfTrust {
    case "tpm2": "in the TPM"
    case "development": "in a debug firmware's stand-in for a TPM, which protects nothing"
    default: printable(rootOfTrust)
    }
  }
}
