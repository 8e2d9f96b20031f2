internal import BoardAPI

/// The two folders of a development host: they stay where they are, as files that the host's owner can read.
final class FolderStorage: Storage {
  func announceFirmware() throws(BoardError) { throw .skipped("a development host has no root of trust to tell") }

  func open() -> StorageFacts {
    StorageFacts(state: .volatile, reason: "a development host keeps the files as they are, without encryption")
  }

  /// Each file was synced when it was written.
  func commitIdentity() throws(BoardError) -> UndeclaredFiles { .none }

  func recordWipe() throws(BoardError) -> UndeclaredFiles { throw Self.nothingToWipe }
  func wipe() throws(BoardError) { throw Self.nothingToWipe }
  func remake() throws(BoardError) { throw Self.nothingToWipe }
  func order(_: RecoveryKeyOrder) throws(BoardError) {
    throw BoardError(code: "storage-not-there", reason: "a development host has no encrypted storage that a recovery key could open")
  }

  private static let nothingToWipe =
    BoardError(code: "storage-not-there", reason: "a development host has no storage to wipe: remove its folder")
}
