internal import Audit
internal import FoundationEssentials
internal import Foundations

/// What is remembered of each device's audit log, `audit/DEVICE.json`: whose keys it was made with, and how far it went.
enum AuditMemories {
  private static func file(_ home: OperatorHome, _ device: String) -> String { "\(home.auditFolder)/\(device).json" }

  /// nil where the log was never exported here.
  ///
  /// - Throws: what is wrong with the file.
  static func load(_ home: OperatorHome, _ device: DeviceIdentifier) throws(OperatorError) -> AuditMemory? {
    let path = file(home, device.text)
    guard PrivateFiles.exists(path) else { return nil }
    let content = try PrivateFiles.read(path)
    do {
      return try JSONDecoder().decode(AuditMemory.self, from: Data(content))
    } catch {
      throw OperatorError(
        "file-malformed",
        "\(path) does not say what is remembered of a device's audit log: \(explain(decoding: error)); remove it to trust the next export anew")
    }
  }

  static func save(_ memory: AuditMemory, _ home: OperatorHome) throws(OperatorError) {
    try PrivateFiles.makeFolder(home.path)
    try PrivateFiles.makeFolder(home.auditFolder)
    try PrivateFiles.write(try encode(memory) + [0x0a], to: file(home, memory.device), existing: .replace)
  }

  /// A device that was claimed anew keeps another log.
  static func forget(_ home: OperatorHome, _ device: DeviceIdentifier) throws(OperatorError) {
    guard PrivateFiles.exists(file(home, device.text)) else { return }
    try PrivateFiles.remove(file(home, device.text))
  }
}
