public import BoardAPI
internal import LinuxBoard
internal import SimulatedSensors

/// QEMU's `virt` machine for 64-bit ARM, as a climate node: what is wired where, and nothing else.
public enum QemuVirt {
  private static let relay = LineDescription(name: "relay", role: .output(safe: false))
  private static let statusLED = LineDescription(name: "status-led", role: .output(safe: false))
  /// A mechanical contact settles within 5 ms.
  private static let button = LineDescription(name: "button", role: .input(debounce_us: 5_000))

  /// No account has these numbers, because a device has no accounts; 900 is out of the way of a distribution's.
  private static let runtimeUser: (uid: UInt32, gid: UInt32) = (uid: 900, gid: 900)

  #if HAECHI_DEBUG
    /// Simulated, so that a test can press the button and see the relay.
    private static let simulator = SimulatedGpioChip(label: "haechi-sim", lineNames: ["relay", "status-led", "button"], lineCount: 8)

    private static let wiring = [
      LineWiring(relay, chipLabel: simulator.label, position: .named("relay")),
      LineWiring(statusLED, chipLabel: simulator.label, position: .named("status-led")),
      LineWiring(button, chipLabel: simulator.label, position: .named("button")),
    ]

    private static let parts = LinuxBoardParts(
      name: "qemu-virt", interface: "eth0", wiring: wiring, watchdogDevice: "/dev/watchdog", runtimeUser: runtimeUser,
      serialDevice: "/dev/ttyAMA0", simulatedChips: [simulator])
  #else
    /// The machine's PL061 at 0x09030000, as the device tree gives it. Nothing is soldered to it but the power key, at offset 3: it is the button, and
    /// QEMU presses it for a tenth of a second when it is asked to power down. (ACPI is off, so nothing else listens to it.)
    private static let chip = "9030000.pl061"

    private static let wiring = [
      LineWiring(relay, chipLabel: chip, position: .offset(0)),
      LineWiring(statusLED, chipLabel: chip, position: .offset(1)),
      LineWiring(button, chipLabel: chip, position: .offset(3)),
    ]

    private static let parts = LinuxBoardParts(
      name: "qemu-virt", interface: "eth0", wiring: wiring, watchdogDevice: "/dev/watchdog", runtimeUser: runtimeUser)
  #endif

  /// The board, for PID 1.
  public static func makeBoard() -> any Board { LinuxBoard(parts) }

  /// The sensors that the runtime reads: a virtual machine has no climate, so they are simulated and say so.
  public static func makeSensors() -> any Sensors { SimulatedClimate(seed: 1) }
}
