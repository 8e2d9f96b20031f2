/// Something new about a device that is watched.
public enum LiveUpdate: Sendable, Equatable {
  case info(DeviceInfo)
  case status(DeviceStatus)
  case reading(Reading)
  case actuators([Actuator])
  case inputs([Input])
  case guardState(GuardState)
  case cloud(CloudState)
  /// Something happened just now.
  case event(DeviceEvent)
  /// The connection is gone; the sentence says why and what happens next. Nil once it is back.
  case trouble(String?)
}

/// What is known of a watched device, and how it is shown. Knows nothing of terminals or connections.
public struct LiveView: Sendable {
  /// How many values the little curve of a reading shows.
  static let curveLength = 24
  /// How many of the newest events are shown.
  static let eventCount = 5
  /// More names than a product has; what a broken device sends beyond it is left out.
  static let mostNames = 32

  private let name: String
  private var info: DeviceInfo?
  private var status: DeviceStatus?
  private var readings: [(latest: Reading, curve: [Double])] = []
  private var actuators: [Actuator] = []
  private var inputs: [Input] = []
  private var guardState: GuardState?
  private var cloud: CloudState?
  private var events: [String] = []
  private var trouble: String?

  /// - Parameter name: what the operator calls the device.
  public init(name: String) { self.name = name }

  /// Takes what is new, and gives the lines that say it where nothing can be redrawn: a pipe, a file, a CI log.
  ///
  /// - Parameter time: this machine's time of day, for what carries none of its own: `12:00:00`.
  public mutating func take(_ update: LiveUpdate, time: String) -> [String] {
    switch update {
    case .info(let new):
      defer { info = new }
      return info == nil ? ["\(name): \(Self.identity(new))"] : []
    case .status(let new):
      let isFirst = status == nil
      status = new
      return isFirst ? [Self.condition(new)] : []
    case .reading(let reading):
      if let index = readings.firstIndex(where: { $0.latest.name == reading.name }) {
        readings[index].latest = reading
        readings[index].curve = (readings[index].curve + [reading.value]).suffix(Self.curveLength)
      } else if readings.count < Self.mostNames {
        readings.append((reading, [reading.value]))
      }
      return [Sheet.reading(reading)]
    case .actuators(let new):
      let changed = new.filter { actuator in !actuators.contains(actuator) }
      let isFirst = actuators.isEmpty
      actuators = Array(new.prefix(Self.mostNames))
      if !isFirst { changed.forEach { note("\(time)  \(Sheet.actuator($0))") } }
      return changed.map { "\(time)  \(Sheet.actuator($0))" }
    case .inputs(let new):
      let isFirst = inputs.isEmpty
      inputs = Array(new.prefix(Self.mostNames))
      return isFirst ? inputs.map { "\(time)  \(Sheet.event(short: .input($0)))" } : []
    case .guardState(let new):
      let isFirst = guardState == nil
      guardState = new
      return isFirst ? ["\(time)  \(Sheet.grade(new))"] : []
    case .cloud(let new):
      let isFirst = cloud == nil
      cloud = new
      return isFirst ? ["\(time)  \(Sheet.cloudLine(new))"] : []
    case .event(let event):
      take(event)
      let line = "\(time)  \(Sheet.event(short: event))"
      note(line)
      return [line]
    case .trouble(let sentence):
      defer { trouble = sentence }
      guard sentence != trouble else { return [] }
      let line = "\(time)  \(sentence ?? "connected again")"
      if sentence == nil { note(line) }
      return [line]
    }
  }

  /// Changes at once what an event is about, and not only with the next answer.
  private mutating func take(_ event: DeviceEvent) {
    switch event {
    case .input(let input):
      if let index = inputs.firstIndex(where: { $0.name == input.name }) {
        inputs[index] = input
      } else if inputs.count < Self.mostNames {
        inputs.append(input)
      }
    case .grade(let change):
      guardState?.grade = change.grade
      guardState?.cause = change.cause
      guardState?.evidence = change.evidence
      guardState?.event = change.event
      // When it ends, the next answer says.
      guardState?.decaysInMilliseconds = nil
    case .cloud(let change):
      cloud?.state = change.state
      cloud?.error = change.code.map { .init(code: $0, reason: change.reason ?? "") }
    // The picture shows no claims; what the storage does is in the line, and in the next status.
    case .claim, .storage: break
    // Nothing of a peer stands in the view but the line itself.
    case .peer: break
    // The next status says it.
    case .discovery: break
    }
  }

  /// The whole picture, at most `width` characters a line, so that no line wraps.
  public func picture(width: Int) -> [String] {
    var lines = [name + (info.map { ": " + Self.identity($0) } ?? "")]
    if let status { lines.append(Self.condition(status)) }
    if let guardState { lines.append(Sheet.grade(guardState)) }
    if let cloud { lines.append(Sheet.cloudLine(cloud)) }
    if !readings.isEmpty {
      lines.append("")
      let rows = readings.map { entry in
        [
          printable(entry.latest.name), measure(entry.latest), unitText(entry.latest.unit),
          Self.curve(entry.curve) + (entry.latest.simulated ? "  (simulated)" : ""),
        ]
      }
      lines += table(rows, rightAligned: [1])
    }
    if !actuators.isEmpty || !inputs.isEmpty {
      lines.append("")
      lines += table(
        actuators.map { [printable($0.name), Sheet.onOff($0.on), "(safe: \(Sheet.onOff($0.safe)))"] }
          + inputs.map { [printable($0.name), $0.active ? "active" : "at rest", ""] })
    }
    if !events.isEmpty { lines += [""] + events }
    lines += ["", trouble ?? "Ctrl-C ends this. In another terminal try: \(suggestion)"]
    return lines.map { String($0.prefix(max(width, 1))) }
  }

  private var suggestion: String {
    guard let first = actuators.first else { return "haechi status" }
    return "haechi set \(printable(first.name)) \(first.on ? "off" : "on")"
  }

  private mutating func note(_ line: String) { events = (events + [line]).suffix(Self.eventCount) }

  private static func identity(_ info: DeviceInfo) -> String {
    "\(printable(info.model)) \(printable(info.firmwareVersion)) on \(printable(info.hardwareModel)), \(printable(info.lifeCycleState))"
  }

  private static func condition(_ status: DeviceStatus) -> String {
    let up = durationText(microseconds: saturatingMicroseconds(milliseconds: status.uptimeMilliseconds))
    let address = status.network.address.map { printable($0) } ?? "no address"
    return "up \(up), start \(status.startCount), \(address), \(bytesText(status.memory.residentBytes)) resident"
  }

  /// The values as a row of bars, the smallest lowest; a row of equal values lies in the middle.
  static func curve(_ values: [Double]) -> String {
    let bars = Array("▁▂▃▄▅▆▇█")
    guard let low = values.min(), let high = values.max(), (high - low).isFinite, high > low else {
      return String(repeating: "▄", count: values.count)
    }
    return String(values.map { bars[min(bars.count - 1, max(0, Int(($0 - low) / (high - low) * Double(bars.count - 1) + 0.5)))] })
  }
}
