import Crypto
import Foundations
import Glibc
import Identity
import Testing

@testable import Audit

/// A folder that goes with the test, and a device with an owner.
final class AuditWorld {
  let folder: String
  let device: DeviceIdentifier
  let owner: (certificate: Certificate, key: PrivateKey)
  private var uptime_ms: UInt64 = 0
  /// The device's clock, seconds since 1970 UTC.
  var now_s: Int64 = 1_760_000_000

  init() throws {
    var template = Array("/tmp/haechi-audit.XXXXXX".utf8CString)
    folder = try #require(mkdtemp(&template).map { String(cString: $0) })
    device = try #require(DeviceIdentifier("00112233445566778899"))
    let key = try PrivateKey.generateP256()
    owner = (try OwnerAuthorityProfile.make(key: key, now_s: 1_760_000_000), key)
  }

  deinit {
    for name in names { unlink(folder + "/" + name) }
    rmdir(folder)
  }

  var names: [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != "." && name != ".." { found.append(name) }
    }
    return found.sorted()
  }

  var segments: [String] { names.filter { $0.hasSuffix(".segment") } }

  /// Appends one entry for each of `numbers`, with a checkpoint behind them where `isSigned`.
  @discardableResult
  func append(
    _ numbers: UInt64..., limits: AuditLog.Limits = AuditLog.Limits(), hasOwner: Bool = true, isSigned: Bool = false
  ) throws -> UInt64 {
    try append(numbers.map { Self.event($0) }, limits: limits, hasOwner: hasOwner, isSigned: isSigned)
  }

  @discardableResult
  func append(
    _ events: [AuditEvent], limits: AuditLog.Limits = AuditLog.Limits(), hasOwner: Bool = true, isSigned: Bool = false
  ) throws -> UInt64 {
    try AuditLog(folder: folder, limits: limits).append(
      events.map { arrival($0) }, device: device, owner: hasOwner ? owner.certificate : nil, isSigned: isSigned)
  }

  /// Stands for anything that a device notes.
  static func event(_ number: UInt64) -> AuditEvent { AuditEvent(.statementAccepted, .word(AuditWord("release")), .number(number)) }

  func arrival(_ event: AuditEvent) -> AuditLog.Arrival {
    uptime_ms += 10
    return AuditLog.Arrival(event, time_s: now_s, uptime_ms: uptime_ms)
  }

  func export() throws -> [UInt8] { try #require(try AuditLog(folder: folder).export()) }

  func verify(_ export: [UInt8]? = nil, remembered: AuditMemory? = nil, withOwner: Bool = true) throws -> AuditVerification {
    try AuditVerification(
      export: try export ?? self.export(), remembered: remembered,
      owner: withOwner ? AuditVerification.OwnerKey(key: owner.key, certificate: owner.certificate) : nil)
  }

  func content(_ name: String) throws -> [UInt8] { try #require(try AuditFolder(path: folder).read(name, maximum_bytes: 1 << 20)) }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    try AuditFolder(path: folder).write(name, bytes, at: 0, isNew: true)
    if name == "state" { chmod(folder + "/state", 0o600) }
  }
}

extension AuditVerification {
  /// The events of one kind, in their order.
  func events(_ kind: AuditEvent.Kind) -> [AuditEvent] {
    records.compactMap { if case .event(let event) = $0.content, event.kind == kind { event } else { nil } }
  }
}

extension AuditEvent {
  var numbers: [UInt64] { values.compactMap { if case .number(let number) = $0 { number } else { nil } } }
  var words: [String] { values.compactMap { if case .word(let word) = $0 { word.text } else { nil } } }
}
