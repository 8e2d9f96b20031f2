internal import Crypto
internal import Foundations
internal import Identity

/// What happened to one device of a line.
public struct LineUpdate: Encodable, Sendable, Equatable {
  /// How it went.
  public enum Outcome: String, Encodable, Sendable {
    /// It was blank and has its identity now.
    case provisioned
    /// It had taken its certificate when an earlier run was cut off, and only the ledger did not know.
    case reconciled
    /// The ledger has it as provisioned already.
    case known
    /// It was not touched, or is in doubt: see the reason. A further run tries it again.
    case refused
  }
  public let outcome: Outcome
  public let address: String
  public let deviceId: String?
  public let serialNumber: String?
  /// Why it was refused.
  public let code: String?
  public let reason: String?
  /// Devices of this run that are done with, this one included.
  public let done: Int
  /// Devices of this run.
  public let total: Int
}

/// What a whole run gave.
public struct LineReport: Encodable, Sendable, Equatable {
  public var provisioned = 0
  public var reconciled = 0
  public var known = 0
  public var refused = 0
  /// Devices that the ledger has as provisioned, of all runs.
  public var inLedger = 0
}

/// A factory line: provisions many devices in one run and keeps a ledger, so that a run that was cut off goes on where it was.
///
/// For each device, in this order, each step on the medium before the next: the ledger's line `planned` (serial number and key), the label, the
/// certificate to the device, the ledger's line `provisioned`. After a cut between the last two the device itself says which it was.
public struct ProvisioningLine: Sendable {
  private let step: StationStep
  private let ledger: Ledger
  private let atOnce: Int

  /// The most devices that are worked on at the same time.
  public static let mostAtOnce = 64
  /// How long to wait before looking again at an address where the next device is to be plugged in: short for a person, long for the device.
  private static let betweenLooks: Duration = .milliseconds(500)

  /// - Parameters:
  ///   - labelsFolder: where the labels are written, and are looked for when a run is repeated.
  ///   - pattern: how devices are numbered.
  ///   - first: the number that a new ledger begins with.
  ///   - hardwareType: as for `Provisioning`.
  ///   - atOnce: 1…64.
  /// - Throws: `bad-argument`, `file-malformed`, `file-unwritable`, and what is wrong with the station's files.
  public init(
    stationFolder: String, ledger: String, labelsFolder: String, pattern: SerialPattern, first: Int = 1, hardwareType: String? = nil, atOnce: Int = 16,
    now_s: Int64 = secondsNow()
  ) throws(OperatorError) {
    guard (1...Self.mostAtOnce).contains(atOnce) else {
      throw OperatorError("bad-argument", "1 to \(Self.mostAtOnce) devices are provisioned at once, not \(atOnce)")
    }
    guard (0...SerialPattern.highestNumber).contains(first) else { throw OperatorError("bad-argument", "the first number is 0 or more, not \(first)") }
    step = try StationStep(stationFolder, labelsFolder: labelsFolder, hardwareType: hardwareType, now_s: now_s)
    self.ledger = try Ledger(ledger, pattern: pattern, first: first)
    self.atOnce = atOnce
  }

  /// Provisions the devices at `endpoints`, some at once.
  ///
  /// - Parameter each: called for each device, one call at a time.
  public func run(_ endpoints: [Endpoint], _ each: (LineUpdate) -> Void) async throws(OperatorError) -> LineReport {
    var report = LineReport()
    var left = endpoints[...]
    var failure: OperatorError?
    await withTaskGroup(of: (Endpoint, Result<Seen, OperatorError>).self) { group in
      func begin() {
        guard let endpoint = left.popFirst() else { return }
        group.addTask { (endpoint, await look(endpoint)) }
      }
      for _ in 0..<atOnce { begin() }
      var done = 0
      for await (endpoint, result) in group {
        done += 1
        each(report.take(endpoint, result, done: done, total: endpoints.count))
        // Without its ledger a line must not go on: devices would be provisioned that nothing knows of.
        if case .failure(let error) = result, error.code == "file-unwritable" {
          failure = error
          left = []
        }
        begin()
      }
    }
    if let failure { throw failure }
    report.inLedger = await ledger.provisioned
    return report
  }

  /// Provisions one device after the other at the same address, as they are plugged in, until the ledger has `count` of them.
  ///
  /// What is wrong with a device is told once, and the next one is waited for. It ends by itself only when the count is reached.
  ///
  /// - Parameter each: called for each device, and once for each that was refused.
  public func run(at endpoint: Endpoint, count: Int, _ each: (LineUpdate) -> Void) async throws(OperatorError) -> LineReport {
    var report = LineReport()
    var last = ""
    var inLedger = await ledger.provisioned
    while inLedger < count {
      let result = await look(endpoint)
      if Task.isCancelled { throw Self.ended(count) }
      inLedger = await ledger.provisioned
      if case .failure(let error) = result, error.code == "file-unwritable" { throw error }
      // Nothing there, or the device that was looked at before: the next one is not plugged in yet.
      let words = Self.words(result)
      if let words, words != last { each(report.take(endpoint, result, done: min(inLedger, count), total: count)) }
      if let words { last = words }
      guard inLedger < count else { break }
      do {
        try await Task.sleep(for: Self.betweenLooks)
      } catch {
        throw Self.ended(count)
      }
    }
    report.inLedger = inLedger
    return report
  }

  private static func ended(_ count: Int) -> OperatorError {
    OperatorError("line-incomplete", "the line was ended before \(count) devices were provisioned; run the same again")
  }

  /// What tells one look at an address from the next; nil where nothing is there that could be told of.
  private static func words(_ result: Result<Seen, OperatorError>) -> String? {
    switch result {
    case .success(let seen): seen.deviceId
    case .failure(let error): error.mayPassByItself ? nil : error.reason
    }
  }

  /// One device: blank, or known to the ledger, or refused.
  private func look(_ endpoint: Endpoint) async -> Result<Seen, OperatorError> {
    do throws(OperatorError) {
      let done = try await step.run(endpoint) { (blank) throws(OperatorError) in
        try await ledger.plan(
          keyHash: blank.keyHash, hardwareModel: blank.hardwareModel, address: blank.endpoint.description, now_s: step.now_s)
      }
      return .success(try await complete(done, endpoint))
    } catch {
      guard error.code == "already-provisioned" else { return .failure(error) }
      do throws(OperatorError) {
        guard let seen = try await reconcile(endpoint) else { return .failure(error) }
        return .success(seen)
      } catch {
        return .failure(error)
      }
    }
  }

  private func complete(_ done: ProvisionedDevice, _ endpoint: Endpoint) async throws(OperatorError) -> Seen {
    guard let keyHash = bytes(hexadecimal: done.keyDigest), let serialNumber = LabelSerialNumber(done.serialNumber) else {
      throw OperatorError("bad-answer", "\(endpoint) was provisioned under a name that is none")
    }
    try await ledger.complete(
      serialNumber, keyHash: keyHash, hardwareModel: await ledger.model(keyHash), address: endpoint.description, now_s: step.now_s)
    return Seen(outcome: .provisioned, deviceId: done.deviceId, serialNumber: done.serialNumber)
  }

  /// A device that has an identity: the ledger's own, where it was planned here and says that it has our serial number. Nil for any other.
  private func reconcile(_ endpoint: Endpoint) async throws(OperatorError) -> Seen? {
    let facts: ProvisionedFacts
    do throws(OperatorError) {
      facts = try await step.facts(endpoint)
    } catch {
      // Who is no device of this maker without an owner has been refused by name already.
      if error.mayPassByItself { throw error }
      return nil
    }
    guard let entry = await ledger.entry(facts.deviceId), entry.serialNumber == facts.serialNumber,
      let serialNumber = LabelSerialNumber(entry.serialNumber)
    else { return nil }
    if entry.state == .provisioned { return Seen(outcome: .known, deviceId: entry.deviceId, serialNumber: entry.serialNumber) }
    guard try step.labels.existing(serialNumber)?.keyHash == facts.keyHash else {
      throw OperatorError(
        "file-missing",
        "device \(facts.deviceId), serial number \(serialNumber), is provisioned and its label is not in \(step.labels.folder): look for \(serialNumber).txt where the run that was cut off wrote it, and name that folder with --labels"
      )
    }
    try await ledger.complete(
      serialNumber, keyHash: facts.keyHash, hardwareModel: facts.hardwareModel, address: endpoint.description, now_s: step.now_s)
    return Seen(outcome: .reconciled, deviceId: entry.deviceId, serialNumber: entry.serialNumber)
  }
}

/// A device that was looked at and is in order.
private struct Seen: Sendable {
  let outcome: LineUpdate.Outcome
  let deviceId: String
  let serialNumber: String
}

extension LineReport {
  /// Counts a device and says what to tell of it.
  fileprivate mutating func take(_ endpoint: Endpoint, _ result: Result<Seen, OperatorError>, done: Int, total: Int) -> LineUpdate {
    switch result {
    case .success(let seen):
      switch seen.outcome {
      case .provisioned: provisioned += 1
      case .reconciled: reconciled += 1
      case .known, .refused: known += 1
      }
      return LineUpdate(
        outcome: seen.outcome, address: endpoint.description, deviceId: seen.deviceId, serialNumber: seen.serialNumber, code: nil, reason: nil, done: done,
        total: total)
    case .failure(let error):
      refused += 1
      return LineUpdate(
        outcome: .refused, address: endpoint.description, deviceId: nil, serialNumber: nil, code: error.code, reason: error.reason, done: done,
        total: total)
    }
  }
}
