internal import Crypto
internal import FoundationEssentials
internal import Foundations
internal import Identity

/// One line of a ledger: what a station meant to do with a device, or has done.
public struct LedgerEntry: Codable, Equatable, Sendable {
  /// Where a device is on the line.
  public enum State: String, Codable, Sendable {
    /// Its serial number is given and its label is written; whether the device took its certificate is not known.
    case planned
    /// The device said that it has taken it.
    case provisioned
  }
  /// RFC 3339, UTC.
  public let time: String
  public let state: State
  public let serialNumber: String
  /// 20 hexadecimal digits.
  public let deviceId: String
  /// SHA-256 of the device's key (SubjectPublicKeyInfo), 64 hexadecimal digits.
  public let keyHash: String
  /// As the device names it; other characters than letters, digits, `.`, `-`, `_` are written as `_`.
  public let hardwareModel: String
  public let address: String

  init(time_s: Int64, state: State, serialNumber: LabelSerialNumber, keyHash: [UInt8], hardwareModel: String, address: String) {
    time = rfc3339(time_s)
    self.state = state
    self.serialNumber = serialNumber.text
    deviceId = hexadecimal(keyHash.prefix(10))
    self.keyHash = hexadecimal(keyHash)
    // The device's word, and a spreadsheet will open the file: nothing in it may look like a formula or end a field.
    self.hardwareModel = String(
      decoding: hardwareModel.utf8.prefix(64).map { Self.isPlain($0) ? $0 : UInt8(ascii: "_") }.drop { $0 == UInt8(ascii: "-") }, as: UTF8.self)
    self.address = address
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
      UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// What is wrong with an entry that was read, nil for nothing.
  var fault: String? {
    if LabelSerialNumber(serialNumber) == nil { return "'serialNumber' is none" }
    guard let hash = bytes(hexadecimal: keyHash), hash.count == 32, hexadecimal(hash) == keyHash else { return "'keyHash' is not 64 hexadecimal digits" }
    if hexadecimal(hash.prefix(10)) != deviceId { return "'deviceId' is not the beginning of 'keyHash'" }
    return nil
  }
}

/// How a ledger is written: a line an entry.
public enum LedgerForm: Sendable {
  /// RFC 4180, with a line of names first.
  case csv
  /// One JSON object a line (JSON Lines): a line can be added at the end, which an array could not be.
  case json

  /// By the name's end: `.csv`, `.json`, `.jsonl`.
  ///
  /// - Throws: `bad-argument`.
  init(path: String) throws(OperatorError) {
    if path.hasSuffix(".csv") {
      self = .csv
    } else if path.hasSuffix(".json") || path.hasSuffix(".jsonl") {
      self = .json
    } else {
      throw OperatorError("bad-argument", "the ledger '\(printable(path))' must end in .csv, .json or .jsonl, which says how it is written")
    }
  }

  private static let names = ["time", "state", "serialNumber", "deviceId", "keyHash", "hardwareModel", "address"]

  /// What a new ledger begins with.
  var head: String { self == .csv ? Self.names.joined(separator: ",") + "\n" : "" }

  /// Whether `text` is how a new ledger's first line may look when the power goes in the middle of it.
  func mayBegin(_ text: String) -> Bool {
    let start = self == .csv ? head : #"{"address":"#
    return start.hasPrefix(text) || (self == .json && text.hasPrefix(start))
  }

  func line(_ entry: LedgerEntry) throws(OperatorError) -> String {
    switch self {
    case .csv:
      return [entry.time, entry.state.rawValue, entry.serialNumber, entry.deviceId, entry.keyHash, entry.hardwareModel, entry.address]
        .joined(separator: ",") + "\n"
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      do {
        return String(decoding: try encoder.encode(entry), as: UTF8.self) + "\n"
      } catch {
        throw OperatorError("file-unwritable", "an entry of the ledger could not be written as JSON", cause: error)
      }
    }
  }

  /// The entry of a line without its line feed, or what is wrong with it.
  func entry(_ line: String) -> Result<LedgerEntry, LedgerFault> {
    let entry: LedgerEntry
    switch self {
    case .csv:
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == Self.names.count else { return .failure(LedgerFault("it has \(fields.count) fields, not \(Self.names.count)")) }
      guard let state = LedgerEntry.State(rawValue: fields[1]) else { return .failure(LedgerFault("'state' is neither planned nor provisioned")) }
      entry = LedgerEntry(
        time: fields[0], state: state, serialNumber: fields[2], deviceId: fields[3], keyHash: fields[4], hardwareModel: fields[5], address: fields[6])
    case .json:
      do {
        entry = try JSONDecoder().decode(LedgerEntry.self, from: Data(line.utf8))
      } catch {
        return .failure(LedgerFault(explain(decoding: error)))
      }
    }
    if let fault = entry.fault { return .failure(LedgerFault(fault)) }
    return .success(entry)
  }
}

/// What is wrong with a line of a ledger.
struct LedgerFault: Error {
  let sentence: String
  init(_ sentence: String) { self.sentence = sentence }
}

extension LedgerEntry {
  fileprivate init(
    time: String, state: State, serialNumber: String, deviceId: String, keyHash: String, hardwareModel: String, address: String
  ) {
    self.time = time
    self.state = state
    self.serialNumber = serialNumber
    self.deviceId = deviceId
    self.keyHash = keyHash
    self.hardwareModel = hardwareModel
    self.address = address
  }
}
