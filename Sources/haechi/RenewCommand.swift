import ArgumentParser
import OperatorKit

struct Renew: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Renew a device's operational certificate (LDevID).",
    discussion: """
      Needs the role admin and the owner's passphrase. The device makes a fresh key; your owner CA signs it for 90 days; the device takes it into use \
      once a connection of this tool has proved it, and keeps the old one if that does not happen within ten minutes. A certificate \
      that has ended already, or was withdrawn, is accepted for this command alone, from a known device: nothing is lost by coming late. \
      The certificate before is put on the owner's revocation list, which the device gets; other devices hear of it at the next haechi member push.
      """)
  @OptionGroup var options: DeviceOptions
  @OptionGroup var passphrase: PassphraseOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let done = try await Renewing(options.open(), passphrases: passphrase.source).run()
    try show(
      done, json: wantsJSON,
      (done.wasExpired ? ["warning: the certificate of device \(done.deviceId) had ended; it was accepted because it is a known device of your owner"] : [])
        + ["device \(done.deviceId) has a new certificate, valid until \(done.validUntil)"] + Sheet.former(done))
  }
}

struct Transfer: HaechiCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give a device up, so that another owner can claim it.",
    discussion: """
      Needs the role admin. What the device holds of you (your owner CA, its operational key, peers, broker, events) is wiped, and it restarts. \
      Nobody of yours gets in again; whoever holds the label claims it: haechi claim --label … \
      Once it is back, haechi receipt get --output FILE fetches what it signed of the wipe.
      """, aliases: ["wipe"])
  @Flag(name: .long, help: "Do it. Without this nothing happens.")
  var yes = false
  @OptionGroup var options: DeviceOptions
  var wantsJSON: Bool { options.common.json }

  func execute() async throws {
    let device = try options.open()
    guard yes else {
      throw OperatorError("bad-argument", "device \(device.name) would be wiped and be yours no more; to do it, say so with --yes")
    }
    let done = try await Transferring(device).run()
    try show(
      done, json: wantsJSON,
      ["device \(done.deviceId) is released and restarts; it is \(done.lifeCycleState), and whoever holds its label claims it: haechi claim --label …"])
  }
}
