internal import Crypto
internal import Foundations
internal import Identity
internal import LabelPrint
internal import TLS

/// What provisioning a device gave. Its JSON does not have the label's text: that is in `labelFile`, which others cannot read.
public struct ProvisionedDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  public let serialNumber: String
  /// SHA-256 of the device's key (SubjectPublicKeyInfo), hexadecimal.
  public let keyDigest: String
  public let address: String
  public let lifeCycleState: String
  /// The text of its label, mode 0600; its QR code lies beside it as .png.
  public let labelFile: String
  /// The text of the label: whoever has it and stands at the device can claim it.
  public let label: String

  private enum CodingKeys: String, CodingKey { case deviceId, serialNumber, keyDigest, address, lifeCycleState, labelFile }
}

/// The station's step: gives a blank device its IDevID certificate (IEEE 802.1AR) and its label.
public struct Provisioning: Sendable {
  private let home: OperatorHome
  private let step: StationStep

  /// - Parameters:
  ///   - labelsFolder: where the label is written; nil for the usual one of `home`.
  ///   - hardwareType: the maker's object identifier for the model of the hardware; nil for Haechi's own.
  /// - Throws: what is wrong with the station's files; `bad-argument`.
  public init(
    home: OperatorHome, stationFolder: String, labelsFolder: String? = nil, hardwareType: String? = nil, now_s: Int64 = secondsNow()
  ) throws(OperatorError) {
    self.home = home
    step = try StationStep(stationFolder, labelsFolder: labelsFolder ?? home.labelsFolder, hardwareType: hardwareType, now_s: now_s)
  }

  /// Provisions the blank device at `endpoint` and remembers it.
  ///
  /// - Parameters:
  ///   - serialNumber: 1…64 of A-Z, 0-9, '-', '.'; nil takes the device id in capital letters.
  ///   - remakes: whether a storage that is damaged or locked is made anew first; whatever lay there is gone.
  ///   - patience: how long somebody is given to press the button, and the device to restart.
  ///   - tell: what the operator must know or do meanwhile.
  /// - Throws: `already-provisioned`, naming the device; `bad-argument`; `button-not-pressed`; and what the connection throws.
  public func run(
    endpoint: Endpoint, serialNumber: String?, remakes: Bool = false, patience: ClaimPatience = ClaimPatience(), tell: (RemakeStep) -> Void = { _ in }
  ) async throws(OperatorError) -> ProvisionedDevice {
    let wanted = if let serialNumber { try Self.check(serialNumber) } else { nil as LabelSerialNumber? }
    if remakes { try await StorageRemake(station: step.station, patience: patience).run(endpoint, tell: tell) }
    let done = try await step.run(endpoint) { (blank) throws(OperatorError) in
      if let wanted { wanted } else { try Self.check(blank.deviceId.text.uppercased()) }
    }
    try MakerFolder.remember(step.station.issuer.certificate, home)
    try DeviceBook.update(home) { (book) throws(OperatorError) in
      try book.remember(KnownDevice(deviceId: done.deviceId, address: endpoint.description, serialNumber: done.serialNumber))
    }
    return done
  }

  /// The label in words and as a QR code of half blocks, for a terminal. Whoever sees it can claim the device.
  ///
  /// - Throws: `file-malformed` where the label cannot be drawn.
  public static func label(of device: ProvisionedDevice, coloured: Bool) throws(OperatorError) -> [String] {
    do {
      let label = try DeviceLabel(text: device.label)
      return LabelText.lines(label) + [""] + (try QRCode(label.text).lines(coloured: coloured))
    } catch {
      throw OperatorError("file-malformed", "the label of \(device.serialNumber) cannot be drawn", cause: error)
    }
  }

  /// A serial number is printed on a label, names a file and lies in a certificate.
  static func check(_ serialNumber: String) throws(OperatorError) -> LabelSerialNumber {
    guard let checked = LabelSerialNumber(serialNumber) else {
      throw OperatorError(
        "bad-argument",
        "'\(printable(serialNumber.prefix(64)))' cannot be a serial number: use 1 to 64 of A-Z, 0-9, '-' and '.', beginning with a letter or digit, which a label's QR code can show"
      )
    }
    return checked
  }
}
