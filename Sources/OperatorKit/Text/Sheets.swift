/// What the commands print for people. Every word that came from a device passes `printable`.
public enum Sheet {
  public static func info(_ info: DeviceInfo) -> [String] {
    var rows = [
      ["device", printable(info.deviceId)],
      ["serial number", info.serialNumber.map { printable($0) } ?? "none yet: it is not provisioned"],
      ["model", "\(printable(info.model)) by \(printable(info.manufacturer)), on \(printable(info.hardwareModel))"],
      ["firmware", "\(printable(info.firmwareVersion)) (\(printable(info.variant)))"],
      ["API", info.apiVersions.map { printable($0) }.joined(separator: ", ")],
      ["life cycle", printable(info.lifeCycleState)],
    ]
    if let key = info.identityKey { rows.append(["identity key", key == "tpm" ? "in its TPM" : key == "file" ? "in a file" : printable(key)]) }
    if let damage = info.damage { rows.append(["damage", printable(damage)]) }
    if let owner = info.ownerId { rows.append(["owner", printable(owner)]) }
    return table(rows)
  }

  /// - Parameter now_s: this machine's clock, seconds since 1970, to tell how far the device's differs.
  public static func status(_ status: DeviceStatus, now_s: Int64) -> [String] {
    let network = status.network
    var way = network.address.map { printable($0) } ?? "no address"
    if let router = network.router { way += " via \(printable(router))" }
    if !network.resolvers.isEmpty { way += ", names from \(network.resolvers.map { printable($0) }.joined(separator: ", "))" }
    if !network.linkUp { way = "link down" + (network.address == nil ? "" : "; last address \(way)") }
    var root = printable(status.rootOfTrust.kind)
    if let manufacturer = status.rootOfTrust.manufacturer, !manufacturer.isEmpty { root += " by \(printable(manufacturer))" }
    if let secureBoot = status.rootOfTrust.secureBootState { root += ", Secure Boot \(printable(secureBoot))" }
    var storage = printable(status.storage.state)
    if let cipher = status.storage.cipher { storage += ", \(printable(cipher)), keys by \(printable(status.storage.rootOfTrust))" }
    if let reason = status.storage.reason { storage += ": \(printable(reason))" }
    if let fault = status.storage.fault { storage += "; nothing can be kept (\(printable(fault.code))): \(printable(fault.reason))" }
    var lines = table([
      ["state", printable(status.state)],
      [
        "up",
        "\(durationText(microseconds: saturatingMicroseconds(milliseconds: status.uptimeMilliseconds))), start \(status.startCount) (\(printable(status.startCause)))",
      ],
      ["network", way],
      ["discovery", status.network.discovery.map { printable($0) } ?? "none: the firmware is older"],
      ["root of trust", root],
      ["storage", storage],
      ["memory", "\(bytesText(status.memory.residentBytes)) resident"],
      ["clock", clock(status.time, now_s: now_s)],
    ])
    if !status.bootPhases.isEmpty {
      lines += ["", "boot"]
      lines += table(
        status.bootPhases.map { phase in
          [
            "  " + printable(phase.name), durationText(microseconds: phase.durationMicroseconds), printable(phase.outcome),
            printable(phase.detail ?? ""),
          ]
        }, rightAligned: [1]
      ).map { String($0.reversed().drop { $0 == " " }.reversed()) }
    }
    return lines
  }

  /// The device's clock, and by how much it differs where that may matter for certificates.
  static func clock(_ text: String, now_s: Int64) -> String {
    guard let there = seconds(rfc3339: text) else { return printable(text) }
    let (difference, overflow) = there.subtractingReportingOverflow(now_s)
    // A difference of a few seconds is the way of the answer and the clocks' normal drift.
    guard !overflow, difference.magnitude > 5 else { return printable(text) }
    let span = durationText(microseconds: difference.magnitude.multipliedReportingOverflow(by: 1_000_000).partialValue)
    return "\(printable(text)): \(span) \(difference < 0 ? "behind" : "ahead of") this machine"
  }

  public static func reading(_ reading: Reading) -> String {
    "\(timeOfDay(reading.time))  \(printable(reading.name))  \(measure(reading)) \(unitText(reading.unit))\(reading.simulated ? "  (simulated)" : "")"
  }

  public static func readings(_ readings: [Reading]) -> [String] {
    guard !readings.isEmpty else { return ["no readings yet"] }
    return table(
      readings.map { [timeOfDay($0.time), printable($0.name), measure($0), unitText($0.unit) + ($0.simulated ? "  (simulated)" : "")] },
      rightAligned: [2])
  }

  public static func actuator(_ actuator: Actuator) -> String {
    "\(printable(actuator.name)) is \(onOff(actuator.on)) (safe: \(onOff(actuator.safe)))"
  }

  public static func input(_ input: Input) -> String {
    let changed =
      input.changedMicroseconds.map { "changed \(durationText(microseconds: $0)) after the device started" }
      ?? "not changed since the device started"
    return "\(printable(input.name)) is \(input.active ? "active" : "at rest"), \(changed)"
  }

  public static func log(_ entry: LogEntry) -> String {
    let seconds = decimal(Double(entry.uptimeMilliseconds) / 1000, digits: 3)
    let at = String(repeating: " ", count: max(0, 10 - seconds.count)) + seconds
    let level = printable(entry.level)
    return "\(at)  \(level)\(String(repeating: " ", count: max(0, 7 - level.count)))  \(printable(entry.source)): \(printable(entry.text))"
  }

  public static func devices(_ devices: [KnownDevice]) -> [String] {
    guard !devices.isEmpty else { return ["no device is known yet; claim one with: haechi claim --device HOST:PORT"] }
    return table(
      [["DEVICE", "ALIAS", "ADDRESS", "SERIAL NUMBER", "MODEL", "OWNER"]]
        + devices.map { device in
          [
            printable(device.deviceId), device.alias ?? "-", printable(device.address ?? "-"), printable(device.serialNumber ?? "-"),
            printable(device.model ?? "-"),
            device.ownerId.map { printable($0) } ?? "not claimed",
          ]
        })
  }

  public static func members(_ members: [MemberRecord]) -> [String] {
    guard !members.isEmpty else { return ["this owner has no members yet; add one with: haechi member add NAME --role viewer"] }
    return table([["NAME", "ROLE", "VALID UNTIL"]] + members.map { [printable($0.name), $0.role, $0.validUntil] })
  }

  /// One device of a push.
  public static func pushed(_ device: PushedDevice) -> String {
    device.reached ? "  told      \(printable(device.name))" : "  NOT TOLD  \(printable(device.name)): \(printable(device.reason ?? ""))"
  }

  /// The end of a push.
  public static func push(_ report: RevocationPushReport) -> [String] {
    guard !report.devices.isEmpty else { return ["no device of this owner is known here; list \(report.number) waits in the owner's folder"] }
    let missing = report.devices.filter { !$0.reached }.count
    guard missing > 0 else { return ["every known device of this owner has list \(report.number)"] }
    return ["\(missing) of \(report.devices.count) devices do not have list \(report.number) and still believe who was withdrawn; later: haechi member push"]
  }

  public static func owners(_ owners: [OwnerRecord]) -> [String] {
    guard !owners.isEmpty else { return ["there is no owner yet; make one with: haechi owner new"] }
    return table(
      [["OWNER", "FOLDER", "VALID UNTIL", "MEMBERS", "DEVICES"]]
        + owners.map { [$0.ownerId, printable($0.folder), $0.validUntil, "\($0.members)", "\($0.devices)"] }, rightAligned: [3, 4])
  }

  /// One device of a line.
  public static func line(_ update: LineUpdate) -> String {
    let total = String(update.total)
    let at = String(repeating: " ", count: max(0, total.count - String(update.done).count)) + "\(update.done)/\(total)"
    guard let deviceId = update.deviceId, let serialNumber = update.serialNumber else {
      return "\(at)  refused  \(update.address): \(printable(update.reason ?? "no reason"))"
    }
    let what =
      switch update.outcome {
      case .provisioned: "provisioned"
      case .reconciled: "was provisioned when the last run was cut off"
      case .known, .refused: "is in the ledger already"
      }
    return "\(at)  \(serialNumber)  device \(deviceId) at \(update.address) \(what)"
  }

  /// A whole run of a line.
  public static func line(_ report: LineReport, ledger: String) -> String {
    "\(report.provisioned) provisioned, \(report.reconciled) reconciled, \(report.known) known before, \(report.refused) refused; \(printable(ledger)) has \(count(report.inLedger, "device", "devices"))"
  }

  /// `1 device`, `2 devices`.
  public static func count(_ number: Int, _ one: String, _ many: String) -> String { "\(number) \(number == 1 ? one : many)" }

  static func onOff(_ on: Bool) -> String { on ? "on" : "off" }
}

/// Milliseconds as microseconds; a device's number may be anything, and must not trap.
func saturatingMicroseconds(milliseconds: UInt64) -> UInt64 {
  let (result, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
  return overflow ? .max : result
}
