import ArgumentParser
import OperatorKit

struct DeviceRevoke: HaechiCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Withdraw a lost device's certificates, and tell every other known device.",
    discussion: """
      Every operational certificate (LDevID) of the device that was issued from this owner's folder and has not ended is put on the owner's \
      revocation list, which only grows, and the list is brought to every other known device of the owner: none listens to the lost one, or \
      tells it anything, any more. A device that cannot be reached goes on believing it until haechi member push reaches it, or until the \
      certificate ends; then the command ends with 69. A device that is found again gets another certificate with haechi renew. Needs the \
      owner's passphrase.
      """)

  @Argument(help: "The device: its id or alias.")
  var device: String
  @OptionGroup var passphrase: PassphraseOptions
  @OptionGroup var options: OwnerFolderOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let home = try options.common.openHome()
    let id = try Peering.identifier(device, home: home)
    let unlocked = try OwnerFolder.open(options.folder()).unlock(passphrase.source)
    let revoked = try unlocked.revokeDevice(id)
    if !wantsJSON { Terminal.standardOutput.line("device \(revoked.deviceId) is withdrawn by list \(revoked.number) of owner \(revoked.ownerId)") }
    let report = try await RevocationPush(home: home, owner: unlocked.owner).run(except: id) {
      if !wantsJSON { Terminal.standardOutput.line(Sheet.pushed($0)) }
    }
    try finish(DeviceRevokeReport(revoked: revoked, push: report), report, json: wantsJSON)
  }
}

private struct DeviceRevokeReport: Encodable {
  var revoked: RevokedDevice
  var push: RevocationPushReport
}
