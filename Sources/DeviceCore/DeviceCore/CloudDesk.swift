import CloudLink
import Crypto
import Foundations
import LocalAPI
import NIOConcurrencyHelpers
import SupervisorLink

/// The owner's binding to a broker: takes it, keeps it, lets the link use it where the supervisor lets packets through, and tells how the link is.
final class CloudDesk: Sendable {
  private struct State {
    /// What the owner bound last.
    var binding: CloudBinding?
    /// Where the supervisor lets the device send to.
    var declared: DestinationReport?
    /// Of readings, by name; and of grade events.
    var sequences: [String: UInt64] = [:]
    var events: UInt64 = 0
  }
  private let folder: StateFolder
  private let ports: [UInt16]?
  private let log: DeviceLog
  private let events: EventJournal
  private let clock: WallClock
  private let link: CloudLink
  private let state: NIOLockedValueBox<State>

  /// Reads what was bound before. A file that cannot be read is no reason not to serve: the owner binds anew.
  ///
  /// - Parameter ports: where a broker may be; nil for any.
  init(folder: StateFolder, ports: [UInt16]?, hub: DeviceHub, clock: WallClock, link: CloudLink) {
    self.folder = folder
    self.ports = ports
    self.log = hub.log
    self.events = hub.events
    self.clock = clock
    self.link = link
    var state = State()
    do {
      if let stored = try folder.readCloud() { state.binding = try Self.binding(host: stored.host, port: stored.port, authority: stored.authority) }
    } catch {
      log.append(.error, source: "cloud", "the binding to a broker cannot be read and must be made anew: \(error)")
    }
    self.state = NIOLockedValueBox(state)
  }

  // MARK: Binding

  /// The broker and its CA that a request names, or the problem that says what is wrong with them.
  func check(_ request: CloudRequest) throws(Problem) -> CloudBinding {
    if let ports, !ports.contains(request.port) {
      let known = ports.map { String($0) }.joined(separator: " or ")
      throw .unprocessable("port-not-allowed", "This firmware may connect to TCP port \(known) only; bind a broker that listens there.", field: "port")
    }
    return try Self.binding(host: request.host, port: request.port, authority: request.authority)
  }

  private static func binding(host: String, port: UInt16, authority: String) throws(Problem) -> CloudBinding {
    guard let destination = CloudDestination(host: host, port: port) else {
      throw .unprocessable(
        "host-invalid", "host must be a DNS name of at most \(CloudDestination.hostMaximum_bytes) characters or a numeric address, and port 1 to 65535.",
        field: "host")
    }
    do throws(CryptoError) {
      let certificate = try Certificate(pem: authority)
      guard certificate.isAuthority else {
        throw CryptoError(code: "malformed-input", reason: "\(certificate.subject) is no authority (CA) certificate")
      }
      return CloudBinding(destination: destination, authority: certificate)
    } catch {
      throw .unprocessable("authority-malformed", "authority must be the broker's CA certificate in PEM: \(error.reason).", field: "authority")
    }
  }

  /// Keeps the binding, once the supervisor has taken the destination, and uses it from now on.
  func bind(_ binding: CloudBinding) throws(Problem) {
    do {
      try folder.write(StoredCloud(host: binding.destination.host, port: binding.destination.port, authority: binding.authority.pem))
    } catch {
      log.append(.error, source: "cloud", "the binding could not be written: \(error)")
      throw .notKept(error, "The device could not keep the binding; bind it again.")
    }
    state.withLockedValue { $0.binding = binding }
    use()
  }

  /// The device has no owner any more.
  func forget() {
    state.withLockedValue { $0.binding = nil }
    use()
  }

  /// What the supervisor lets through.
  func declared(_ report: DestinationReport) {
    state.withLockedValue { $0.declared = report }
    use()
  }

  /// The link follows a binding only to where the supervisor lets it: a binding that is not the owner's word to the supervisor leads nowhere.
  private func use() {
    let binding: CloudBinding? = state.withLockedValue { state in
      guard let binding = state.binding, let declared = state.declared, declared.destination == binding.destination else { return nil }
      return CloudBinding(destination: binding.destination, authority: binding.authority, addresses: declared.addresses)
    }
    link.bind(binding)
  }

  // MARK: What goes out

  func publish(_ reading: ReadingDocument) {
    let sequence = state.withLockedValue { state in
      state.sequences[reading.name, default: 0] += 1
      return state.sequences[reading.name, default: 0]
    }
    link.publishReading(
      CloudReading(
        name: reading.name, value: reading.value, unit: reading.unit, time_s: clock.now_s(), isSimulated: reading.simulated, sequence: sequence))
  }

  /// Tells the grade, the event first: the cloud hears why before the device goes quiet.
  func publish(_ report: GradeReport) {
    let sequence = state.withLockedValue { state in
      state.events += 1
      return state.events
    }
    link.publishEvent(
      CloudGradeEvent(
        grade: report.grade, cause: report.cause, evidence: report.evidence, event: report.event, time_s: clock.now_s(), sequence: sequence))
    link.setGrade(report.grade)
  }

  // MARK: How it is

  /// The link has changed: an event, and a line of the log.
  func changed(_ status: CloudStatus) {
    events.append(
      .cloud(
        CloudEventDocument(
          state: status.state.rawValue, code: status.failure?.code, reason: status.failure?.reason, uptimeMilliseconds: BootClock.now_ms())))
    let broker = status.destination.map { " \($0)" } ?? ""
    if let failure = status.failure {
      log.append(.warning, source: "cloud", "the broker\(broker) is not reached: \(failure.code): \(failure.reason)")
    } else {
      log.append(.info, source: "cloud", "the link to the broker\(broker) is \(status.state.rawValue)")
    }
  }

  func document() -> CloudDocument {
    let status = link.status
    let bound = state.withLockedValue { $0.binding?.destination }
    // Between the owner's word and the rules that follow it the link knows of no broker yet.
    let linkState = status.state == .unbound && bound != nil ? .waiting : status.state
    return CloudDocument(
      state: linkState.rawValue, host: bound?.host, port: bound?.port,
      error: status.failure.map { CloudDocument.Failure(code: $0.code, reason: $0.reason) }, published: status.published,
      acknowledged: status.acknowledged, dropped: status.dropped, connections: status.connections)
  }
}
