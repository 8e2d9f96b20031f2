/// What the commands about guard, cloud and events print for people.
extension Sheet {
  public static func guardState(_ state: GuardState) -> [String] {
    var rows = [["grade", printable(state.grade)], ["cause", printable(state.cause)]]
    if !state.evidence.isEmpty { rows.append(["evidence", printable(state.evidence)]) }
    rows.append(["since", since(state)])
    rows.append(["event", "\(state.event)"])
    rows.append(["ends", ending(state)])
    return table(rows)
  }

  private static func ending(_ state: GuardState) -> String {
    if let left = state.decaysInMilliseconds {
      return "by itself in \(durationText(microseconds: saturatingMicroseconds(milliseconds: left))), unless there is new evidence"
    }
    return state.grade == "normal" ? "-" : "only by an admin: haechi guard release"
  }

  /// A grade in one line: `grade restricted (authentication-failures: 40 in 10 s), ends in 42 s`.
  public static func grade(_ state: GuardState) -> String {
    let ends =
      state.decaysInMilliseconds.map { ", ends in \(durationText(microseconds: saturatingMicroseconds(milliseconds: $0)))" } ?? ""
    return "grade \(grade(state.grade, state.cause, state.evidence))\(ends)"
  }

  private static func since(_ state: GuardState) -> String {
    guard state.sinceMicroseconds == 0 else { return "\(durationText(microseconds: state.sinceMicroseconds)) after the device started" }
    return state.grade == "normal" ? "the device started" : "before the device started"
  }

  private static func grade(_ grade: String, _ cause: String, _ evidence: String) -> String {
    guard cause != "none" else { return printable(grade) }
    return "\(printable(grade)) (\(printable(cause))\(evidence.isEmpty ? "" : ": \(printable(evidence))"))"
  }

  public static func cloud(_ cloud: CloudState) -> [String] {
    var rows = [["cloud", printable(cloud.state)]]
    if let host = cloud.host { rows.append(["broker", broker(host, cloud.port)]) }
    if let error = cloud.error { rows.append(["last error", "\(printable(error.code)): \(printable(error.reason))"]) }
    rows.append(["messages", "\(cloud.published) published, \(cloud.acknowledged) acknowledged, \(cloud.dropped) dropped"])
    rows.append(["connections", "\(cloud.connections)"])
    if cloud.state == "unbound" { rows.append(["next", "haechi cloud bind --broker HOST:PORT --authority FILE"]) }
    return table(rows)
  }

  /// A cloud link in one line: `cloud connected to 127.0.0.1:8883, 120 published, 118 acknowledged`.
  static func cloudLine(_ cloud: CloudState) -> String {
    var line = "cloud \(printable(cloud.state))"
    if let host = cloud.host { line += " (\(broker(host, cloud.port))), \(cloud.published) published, \(cloud.acknowledged) acknowledged" }
    if let error = cloud.error { line += "; \(printable(error.code)): \(printable(error.reason))" }
    return line
  }

  static func broker(_ host: String, _ port: Int?) -> String {
    let name = host.contains(":") ? "[\(printable(host))]" : printable(host)
    return port.map { "\(name):\($0)" } ?? name
  }

  /// What the operator must know or do while a device is being claimed.
  public static func claim(_ step: ClaimStep) -> String {
    switch step {
    case .pressButton(let within_s): "press the button of the device now: it is waited for, up to \(within_s) s"
    case .buttonSeen: "the button was pressed"
    case .waits(let seconds): "the device looks at no proof for \(seconds) s, because of wrong ones; it is waited for"
    case .wiped: "the device is wiped and restarts; it is claimed when it is back"
    }
  }

  /// What the operator must know or do while a storage is made anew.
  public static func remake(_ step: RemakeStep) -> String {
    switch step {
    case .pressButton(let within_s): "press the button of the device now: it is waited for, up to \(within_s) s"
    case .restarts: "the storage is made anew and the device restarts; it is provisioned when it is back"
    }
  }

  /// One event as it comes.
  public static func event(_ event: DeviceEvent) -> String {
    switch event {
    case .input(let changed): input(changed)
    case .grade(let change): "grade is \(grade(change.grade, change.cause, change.evidence))"
    case .claim(let claim):
      "claim: \(printable(claim.outcome))\(claim.failures > 0 ? ", \(claim.failures) wrong proofs in a row, the next one is looked at in \(claim.waitMilliseconds / 1_000) s" : "")"
    case .cloud(let change):
      "cloud is \(printable(change.state))\(change.code.map { " (\(printable($0))\(change.reason.map { ": \(printable($0))" } ?? ""))" } ?? "")"
    case .storage(let change):
      change.state == "storage-writable"
        ? "the storage takes what is to be kept again"
        : "nothing can be kept (\(printable(change.state))\(change.reason.map { ": \(printable($0))" } ?? ""))"
    case .peer(let change): peer(change)
    case .discovery(let change): "discovery is \(printable(change.state))"
    }
  }

  /// Events as a list, the first column in seconds since the device's kernel started.
  public static func events(_ page: EventPage) -> [String] {
    var lines = page.forgotten > 0 ? ["(\(page.forgotten) older events are no longer on the device)"] : []
    if page.events.isEmpty { lines.append("nothing has happened yet") }
    lines += page.events.map { record in
      let seconds = decimal(Double(record.uptimeMilliseconds) / 1000, digits: 3)
      let what = record.event.map { event(short: $0) } ?? printable(record.kind)
      return String(repeating: " ", count: max(0, 10 - seconds.count)) + seconds + "  " + what
    }
    return lines
  }

  /// An event where the line says when it was.
  static func event(short event: DeviceEvent) -> String {
    guard case .input(let input) = event else { return self.event(event) }
    return "\(printable(input.name)) is \(input.active ? "active" : "at rest")"
  }
}
