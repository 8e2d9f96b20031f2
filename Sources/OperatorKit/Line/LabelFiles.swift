internal import Crypto
internal import Foundations
internal import Identity
internal import LabelPrint

/// Labels as files of mode 0600: SERIAL.txt, whose first line is the text of the QR code, and SERIAL.png, the QR code.
///
/// They hold the codes that claim the devices. Who prints them needs nothing else, and deletes them when they are printed.
struct LabelFiles: Sendable {
  let folder: String

  func textFile(_ serialNumber: LabelSerialNumber) -> String { "\(folder)/\(serialNumber).txt" }
  func imageFile(_ serialNumber: LabelSerialNumber) -> String { "\(folder)/\(serialNumber).png" }

  /// The label of the device with that key: the one that is there, or a new one that is on the medium when this returns.
  ///
  /// - Throws: `file-exists` where the label of that serial number is another device's.
  func label(_ serialNumber: LabelSerialNumber, keyHash: [UInt8]) throws(OperatorError) -> DeviceLabel {
    if let there = try existing(serialNumber) {
      guard there.keyHash == keyHash else {
        throw OperatorError(
          "file-exists",
          "\(textFile(serialNumber)) is the label of device \(there.deviceId), and the serial number would be given twice; name another folder with --labels DIR"
        )
      }
      return there
    }
    let label: DeviceLabel
    let image: [UInt8]
    do {
      guard let made = DeviceLabel(serialNumber: serialNumber, keyHash: keyHash, code: try LabelCode.random()) else {
        throw OperatorError("bad-answer", "the device's key has no SHA-256")
      }
      label = made
      image = try PNGImage.encode(try QRCode(label.text))
    } catch {
      throw OperatorError("file-unwritable", "the label of \(serialNumber) could not be made", cause: error)
    }
    try PrivateFiles.makeFolder(folder)
    // The text last: a label with one is whole.
    try PrivateFiles.write(image, to: imageFile(serialNumber), existing: .replace)
    try PrivateFiles.write(Array((LabelText.lines(label).joined(separator: "\n") + "\n").utf8), to: textFile(serialNumber), existing: .refuse)
    return label
  }

  /// The label of that serial number, nil where there is none.
  func existing(_ serialNumber: LabelSerialNumber) throws(OperatorError) -> DeviceLabel? {
    let path = textFile(serialNumber)
    guard PrivateFiles.exists(path) else { return nil }
    let content = String(decoding: try PrivateFiles.read(path, isPrivate: true), as: UTF8.self)
    do {
      return try DeviceLabel(text: content.prefix { $0 != "\n" })
    } catch {
      throw OperatorError("file-malformed", "\(path) is not the text of a label", cause: error)
    }
  }
}

/// What people read of a label.
enum LabelText {
  /// The text of the QR code, and the same in words.
  static func lines(_ label: DeviceLabel) -> [String] {
    [label.text]
      + table([
        ["serial number", label.serialNumber.text], ["device id", label.deviceId.text], ["key hash", hexadecimal(label.keyHash)],
        ["code", label.code.groupedText],
      ])
  }
}
