import Glibc

/// A file system of a few pages in memory under a folder of its own: one that fills, and that can be made read-only. Mounting takes root's rights.
final class SmallVolume: Sendable {
  /// Whether this process may mount.
  static let isPossible: Bool = { SmallVolume() != nil }()

  let folder = TestFolder()

  init?() {
    guard mount("none", folder.path, "tmpfs", UInt(MS_NODEV | MS_NOSUID), "size=256k,nr_inodes=48,mode=0700") == 0 else { return nil }
  }

  deinit { umount2(folder.path, CInt(MNT_DETACH)) }

  private static let filler = "filler"

  /// Leaves no room.
  func fill() {
    let file = open(folder.path + "/" + Self.filler, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    defer { close(file) }
    let page = [UInt8](repeating: 1, count: 4_096)
    while write(file, page, page.count) == page.count {}
    precondition(errno == ENOSPC, "the volume does not fill: \(errno)")
  }

  func makeRoom() { folder.remove(Self.filler) }

  func setReadOnly(_ isReadOnly: Bool) {
    let flags = UInt(MS_REMOUNT | MS_BIND | MS_NODEV | MS_NOSUID) | (isReadOnly ? UInt(MS_RDONLY) : 0)
    precondition(mount(nil, folder.path, nil, flags, nil) == 0, "the volume cannot be mounted anew: \(errno)")
  }
}
