internal import Crypto
internal import Foundations
internal import Identity

/// What withdrawing a device gave.
public struct RevokedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let ownerId: String
  /// Of the list that withdraws it.
  public let number: UInt64
  /// The serial numbers of its certificates, hexadecimal; none where the list had them all already.
  public let serials: [String]
}

extension OwnerFolder {
  /// The operational certificates (LDevID) that were issued here and have not ended: who withdraws a device withdraws all of its own.
  private var devicesFile: String { folder + "/devices.pem" }
  /// As many as fit into the file.
  private static let mostDevices = 1_000

  private func deviceCertificates() throws(OperatorError) -> [Certificate] {
    guard PrivateFiles.exists(devicesFile) else { return [] }
    let content = try PrivateFiles.read(devicesFile)
    do {
      return try Certificate.chain(pem: String(decoding: content, as: UTF8.self), maximumCount: Self.mostDevices)
    } catch {
      throw OperatorError("file-malformed", "\(devicesFile) does not hold certificates in PEM; take it from a backup", cause: error)
    }
  }

  /// The folder is locked.
  fileprivate func keep(_ issued: Certificate, now_s: Int64) throws(OperatorError) {
    let kept = try deviceCertificates().filter { $0.notAfter_s >= now_s } + [issued]
    guard kept.count <= Self.mostDevices else {
      throw OperatorError(
        "too-many-devices", "\(devicesFile) holds \(Self.mostDevices) certificates that have not ended, which is as many as one owner has; make another owner")
    }
    try PrivateFiles.write(Array(kept.map(\.pem).joined().utf8), to: devicesFile, existing: .replace, mode: 0o644)
  }

  /// Every certificate of `device` that was issued here and has not ended at `now_s`.
  func certificates(of device: DeviceIdentifier, now_s: Int64) throws(OperatorError) -> [Certificate] {
    try deviceCertificates().filter { $0.notAfter_s >= now_s && (try? OperationalDeviceProfile.check($0).device) == device }
  }
}

extension UnlockedOwner {
  /// Renewals fill the owner's list no further than this: it only grows and has room for some 270 entries, and the rest is for members and lost devices.
  static let mostRoutine = 128

  /// An operational certificate for `device`, which is recorded before anybody gets it.
  func issue(_ key: PublicKey, for device: DeviceIdentifier, now_s: Int64) throws(OperatorError) -> Certificate {
    let certificate = try Profiles.lDevID(issuer: issuer, key: key, owner: owner.identifier, deviceId: device, now_s: now_s)
    try PrivateFiles.locked(owner.folder + "/.lock") { () throws(OperatorError) in try owner.keep(certificate, now_s: now_s) }
    return certificate
  }

  /// Withdraws what `present` has replaced: whatever else was issued to the device, and what it showed before, as far as it has not ended.
  ///
  /// - Returns: the number of the list that withdraws it; nil where there is nothing to withdraw.
  /// - Throws: `list-full`, also where only room for members and lost devices is left; and what is wrong with a file.
  func withdrawFormer(of device: DeviceIdentifier, shown: Certificate, present: Certificate, now_s: Int64) throws(OperatorError) -> UInt64? {
    try PrivateFiles.locked(owner.folder + "/.lock") { () throws(OperatorError) in
      let known = try owner.certificates(of: device, now_s: now_s) + (shown.notAfter_s >= now_s ? [shown] : [])
      let former = known.filter { $0 != present }
      guard !former.isEmpty else { return nil }
      guard try owner.revocationList().map(\.revoked.count) ?? 0 < Self.mostRoutine else {
        throw OperatorError(
          "list-full", "the revocation list of owner \(owner.ownerId) has \(Self.mostRoutine) entries, and the rest of its room is for members and lost devices"
        )
      }
      return try withdraw(former, now_s: now_s).number
    }
  }

  /// Withdraws every certificate of a device that was lost: writes the owner's next revocation list. Other devices hear of it by `RevocationPush`.
  ///
  /// - Parameter deviceId: 20 hexadecimal digits.
  /// - Throws: `bad-argument`, `unknown-device`, `list-full`, and what is wrong with a file.
  public func revokeDevice(_ deviceId: String, now_s: Int64 = secondsNow()) throws(OperatorError) -> RevokedDevice {
    guard let device = DeviceIdentifier(deviceId) else {
      throw OperatorError("bad-argument", "'\(printable(deviceId.prefix(40)))' is no device id, which is 20 hexadecimal digits")
    }
    return try PrivateFiles.locked(owner.folder + "/.lock") { () throws(OperatorError) in
      let certificates = try owner.certificates(of: device, now_s: now_s)
      guard !certificates.isEmpty else {
        throw OperatorError("unknown-device", "device \(device) has no certificate of owner \(owner.ownerId) that was issued here and has not ended")
      }
      let (number, added) = try withdraw(certificates, now_s: now_s)
      return RevokedDevice(deviceId: device.text, ownerId: owner.ownerId, number: number, serials: added.map(\.description))
    }
  }
}
