internal import Audit
internal import Foundations

/// `GET /v1/audit`.
struct AuditPage: Decodable, Sendable {
  /// Hexadecimal.
  var anchor: String
  var first: UInt64
  /// Hexadecimal.
  var segment: String
  var more: Bool
}

/// `PUT /v1/audit`, and its answer.
public struct AuditSwitch: Codable, Sendable, Equatable {
  /// Whether the log may be read over the API.
  public var export: Bool
}

/// Fetches a device's audit log into a file, and verifies it there.
public struct AuditExporting: Sendable {
  /// More segments than any log of this firmware has.
  private static let maximumPages = 256

  private let device: OwnedDevice

  public init(_ device: OwnedDevice) { self.device = device }

  /// - Parameter file: a new one; nil names it after the device, in the present folder.
  /// - Throws: what the connection throws; `bad-answer` where the device gives no log of its own; `file-exists`; as `AuditChecking`.
  public func run(file: String?) async throws(OperatorError) -> AuditReport {
    let export = try await device.with { (client) throws(OperatorError) in try await fetch(client) }
    let found = try device(of: export)
    let file = file ?? "\(found).audit"
    try PrivateFiles.write(export, to: file, existing: .refuse)
    return try AuditChecking(home: device.home).check(export, file: file, isNewest: true)
  }

  private func fetch(_ client: DeviceClient) async throws(OperatorError) -> [UInt8] {
    var anchor: [UInt8] = []
    var segments: [[UInt8]] = []
    var after: UInt64 = 0
    var size_bytes = 0
    for _ in 0..<Self.maximumPages {
      let page = try await client.get(AuditPage.self, "/v1/audit?after=\(after)")
      guard let newest = bytes(hexadecimal: page.anchor), let segment = bytes(hexadecimal: page.segment), page.first > after else {
        throw OperatorError("bad-answer", "\(device.endpoint) gave a page of its audit log that cannot be read")
      }
      (anchor, after) = (newest, page.first)
      segments.append(segment)
      size_bytes += segment.count
      guard size_bytes <= AuditExport.maximum_bytes / 2 else { break }
      guard page.more else { return AuditExport(anchor: anchor, segments: segments).encoded }
    }
    throw OperatorError("answer-too-large", "the audit log of \(device.endpoint) has no end")
  }

  /// Another device's log is no answer.
  private func device(of export: [UInt8]) throws(OperatorError) -> DeviceIdentifier {
    do {
      let found = try AuditVerification.device(of: export)
      guard device.deviceId == nil || device.deviceId == found else {
        throw OperatorError("bad-answer", "device \(device.name) gave the audit log of another device, \(found)")
      }
      return found
    } catch let error as OperatorError {
      throw error
    } catch {
      throw OperatorError("bad-answer", "\(device.endpoint) gave no audit log", cause: error)
    }
  }

  /// The owner's switch: whether the log may be read over the API at all.
  public func setExport(_ isOn: Bool) async throws(OperatorError) -> AuditSwitch {
    let wanted = AuditSwitch(export: isOn)
    return try await device.with { (client) throws(OperatorError) in
      try await client.send(AuditSwitch.self, DeviceRequest(.put, "/v1/audit", body: try encode(wanted)))
    }
  }
}
