import BoardAPI
import Foundations
import Glibc

@testable import LinuxBoard

/// A folder for one test, removed with it.
final class StorageFolder {
  let path: String

  init() {
    var template = Array("/tmp/haechi-storage-XXXXXX".utf8CString)
    path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
  }

  deinit {
    for name in names { unlink(path + "/" + name) }
    rmdir(path)
  }

  var names: [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func write(_ text: String, to name: String) {
    let number = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let bytes = Array(text.utf8)
    _ = Glibc.write(number, bytes, bytes.count)
    close(number)
  }

  /// A partition that is a sparse file.
  func partition(_ name: String = "ident", size_bytes: off_t = 4 << 20) throws -> BlockPartition {
    let file = path + "/" + name
    close(open(file, O_RDWR | O_CREAT, 0o600))
    if let size = try? BlockPartition(name: name, path: file).size_bytes, size == 0 { truncate(file, size_bytes) }
    return try BlockPartition(name: name, path: file)
  }
}

/// A root of trust in memory that fails where a test wants it to.
final class FakeRoot: SealingRootOfTrust {
  var kind = RootOfTrustFacts.Kind.tpm2
  var counters: [RootOfTrustCounter: UInt64] = [:]
  var identity: UInt8 = 1
  /// The security epoch of the firmware that runs.
  var epoch: UInt8 = 1
  var isClosed = false
  /// How many more calls that change something work; then each fails, as if the power had gone.
  var left = Int.max

  private static let noPower = BoardError(code: "root-of-trust-failed", reason: "no power")

  private func change() throws(BoardError) {
    guard left > 0 else { throw Self.noPower }
    left -= 1
  }

  func value(of counter: RootOfTrustCounter) throws(BoardError) -> UInt64? { counters[counter] }

  func raise(_ counter: RootOfTrustCounter) throws(BoardError) -> UInt64 {
    try change()
    // A counter that is new starts where the highest one that ever was had ended.
    counters[counter] = (counters[counter] ?? 40) + 1
    return counters[counter] ?? 0
  }

  private var rises: UInt8 { UInt8(truncatingIfNeeded: counters[.securityEpoch] ?? 40) }

  func seal(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] {
    try change()
    return [identity, epoch, rises] + secret.withUnsafeBytes { Array($0) }
  }

  func sealAhead(_ secret: SecretBytes, to binding: SealBinding) throws(BoardError) -> [UInt8] {
    try change()
    return [identity, epoch, rises + 1] + secret.withUnsafeBytes { Array($0) }
  }

  func standing(of blob: [UInt8]) throws(BoardError) -> SealStanding {
    guard blob.count > 3, blob[0] == identity else { return .foreign }
    if blob[2] != rises { return blob[2] < rises ? .over : .ahead }
    return blob[1] < epoch ? .earlier : .current
  }

  func unseal(_ blob: [UInt8]) throws(BoardError) -> SecretBytes {
    guard blob.first == identity else { throw BoardError(code: BoardError.lockedCode, reason: "another root of trust") }
    guard blob[1] <= epoch else { throw BoardError(code: BoardError.lockedCode, reason: "an older firmware") }
    guard blob[2] == rises else { throw BoardError(code: BoardError.lockedCode, reason: "an older copy") }
    return SecretBytes(copying: blob.dropFirst(3))
  }

  func makeIdentityKey() throws(BoardError) -> IdentityKey? { nil }

  func closeForThisBoot() throws(BoardError) { isClosed = true }
}
