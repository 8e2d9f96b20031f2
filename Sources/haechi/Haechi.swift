import ArgumentParser

/// The operator's command line. It only reads arguments and prints; what it does is in OperatorKit.
@main
struct Haechi: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "haechi",
    abstract: "Provision, claim and use Haechi devices.",
    discussion: """
      A device begins blank: it knows only its own key and the maker's CA that its firmware pins.

        1. The maker's station gives it its identity (IDevID):
             haechi provision --device HOST:PORT
        2. Its owner claims it; from then on only the owner's members get in:
             haechi owner new
             haechi claim --device HOST:PORT
        3. Use it:
             haechi status
             haechi readings --follow
             haechi set relay on
             haechi logs --follow
        4. Tell it its cloud, one MQTT broker, and see what arrives there:
             haechi cloud bind --broker HOST:PORT --authority FILE
             haechi cloud watch
        5. Let your devices know each other, and renew their certificates in time:
             haechi peer add READER SOURCE --scope readings:temperature
             haechi renew
        6. Keep a key that opens its disk on a PC:
             haechi recovery-key new --output FILE
        7. When it went quiet, look why, and release it:
             haechi guard status
             haechi guard release
             haechi audit export
        8. Give it away, and show that nothing of yours is left on it:
             haechi transfer --yes
             haechi receipt get --output FILE

      To try it without a factory, make a throwaway maker first (haechi maker new) and give its maker-ca.der to the firmware. \
      Every connection is TLS 1.3 with certificates on both sides; no device knows a password. Keys, and what is known of \
      devices, lie in HAECHI_HOME (default: ~/.config/haechi); the owner's key lies there under a passphrase.

      With one known device no --device is needed. With --json every command prints JSON for programs, one value a line \
      where it follows something; errors then are JSON too, on standard error.

      Exit codes: 0 done; 64 wrong arguments; 69 the device cannot be reached, is silent or gone (trying again may help); \
      77 one side refused the other; 1 anything else.
      """,
    subcommands: [
      MakerCommand.self, Provision.self, OwnerCommand.self, Claim.self, Devices.self, MemberCommand.self,
      Info.self, Status.self, Readings.self, SetActuator.self, Inputs.self, Events.self, Logs.self,
      GuardCommand.self, AuditCommand.self, CloudCommand.self, PeerCommand.self, DiscoveryCommand.self, Discover.self, Renew.self,
      RecoveryKeyCommand.self,
      Transfer.self, ReceiptCommand.self, Demo.self,
    ])
}
