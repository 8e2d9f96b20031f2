#if HAECHI_DEBUG
  public import BoardAPI
  internal import Glibc

  /// A GPIO chip without hardware (Documentation/admin-guide/gpio/gpio-sim.rst), made at boot through configfs, so that a test can press a
  /// button and see a relay: its lines appear in sysfs, as `…/sim_gpioN/pull` and `…/sim_gpioN/value`.
  public struct SimulatedGpioChip: Sendable {
    /// Its label, as `LineWiring` names it.
    public let label: String
    /// The names of its lines, from offset 0 on.
    public let lineNames: [String]
    /// How many lines it has; at least as many as have names.
    public let lineCount: Int

    public init(label: String, lineNames: [String], lineCount: Int) {
      self.label = label
      self.lineNames = lineNames
      self.lineCount = max(lineCount, lineNames.count)
    }

    /// Its folder in configfs, while it lives.
    var folder: String { "/sys/kernel/config/gpio-sim/" + label }

    /// Makes it.
    public var boardPhase: BoardPhase {
      BoardPhase(name: "gpio-simulator", isEssential: true) { () throws(BoardError) in
        let bank = folder + "/bank0"
        try make(folder)
        try make(bank)
        try KernelSetting.write(String(lineCount), to: bank + "/num_lines")
        try KernelSetting.write(label, to: bank + "/label")
        for (offset, name) in lineNames.enumerated() {
          try make("\(bank)/line\(offset)")
          try KernelSetting.write(name, to: "\(bank)/line\(offset)/name")
        }
        // The chip appears before the write returns.
        try KernelSetting.write("1", to: folder + "/live")
      }
    }

    private func make(_ path: String) throws(BoardError) {
      guard mkdir(path, 0o755) == 0 else {
        throw .system(code: "gpio-simulator-failed", call: "mkdir", subject: path, number: errno, hint: "has this kernel CONFIG_GPIO_SIM?")
      }
    }
  }
#endif
