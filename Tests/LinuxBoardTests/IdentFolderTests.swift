import BoardAPI
import Glibc
import Testing

@testable import LinuxBoard

/// The runtime's identity folder, as a worker sees it: nothing but the declared files comes out of it, each no larger than it may be.
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct IdentFolderTests {
  let folder = StorageFolder()
  private var ident: IdentFolder { IdentFolder(path: folder.path, user: nil) }
  private func read() throws -> IdentFolder.Found { try ident.read(IdentityFile.allCases) }
  private func file(_ file: IdentityFile, _ text: String) -> IdentFile { IdentFile(name: file.name, content: Array(text.utf8)) }

  @Test func filesComeOutAsTheyWentIn() throws {
    let files = [file(.deviceKey, ""), file(.identity, "{}")]
    try ident.fill(files)
    #expect(try read() == IdentFolder.Found(files: files))
    var facts = stat()
    #expect(stat(folder.path + "/device.key", &facts) == 0 && facts.st_mode & 0o7777 == 0o600)
    // Never over something that is there.
    #expect(throws: BoardError.self) { try ident.fill(files) }
    // What AtomicFile has not renamed yet is not there yet.
    folder.write("half", to: "identity.json.new")
    #expect(try read() == IdentFolder.Found(files: files))
    #expect(try ident.read([.identity]) == IdentFolder.Found(files: [files[1]], undeclared: UndeclaredFiles(count: 1, example: "device.key")))
  }

  @Test func aFolderWithEachFileAtItsLargestIsKept() throws {
    for file in IdentityFile.allCases { folder.write(String(repeating: "x", count: file.maximum_bytes), to: file.name) }
    let found = try read()
    #expect(found.files.map(\.name) == IdentityFile.allCases.map(\.name).sorted() && found.refused.isEmpty && found.undeclared == .none)
    var content = IdentContent()
    content.files = found.files
    #expect(content.files_bytes < 20 * 1_024)
    try IdentStore.open(try StorageFolder().partition(), root: FakeRoot()).commit(content)
  }

  @Test func whatIsNotDeclaredIsCountedAndNotKept() throws {
    folder.write("{}", to: "identity.json")
    for name in ["stash.bin", ".hidden", "näme", "identity.json.bak", "lockout.json.new.new", String(repeating: "n", count: 255)] {
      folder.write("parked", to: name)
    }
    #expect(mkfifo(folder.path + "/pipe", 0o600) == 0 && symlink("/etc/hostname", folder.path + "/link") == 0)
    let found = try read()
    #expect(found == IdentFolder.Found(files: [file(.identity, "{}")], undeclared: UndeclaredFiles(count: 8, example: ".hidden")))
    unlink(folder.path + "/.hidden")
    for name in ["a b\u{1b}[31mé", "aa"] { folder.write("parked", to: name) }
    #expect(try read().undeclared == UndeclaredFiles(count: 9, example: "a?b?[31m?"))
  }

  @Test(arguments: IdentityFile.allCases) func aFileThatIsTooLargeOrNoFileIsRefusedAndTheOthersAreRead(_ refused: IdentityFile) throws {
    let others = IdentityFile.allCases.filter { $0 != refused }
    for file in others { folder.write(file.name, to: file.name) }
    let path = folder.path + "/" + refused.name
    let makes: [(why: String, make: () -> Int32)] = [
      (
        "has more than the \(refused.maximum_bytes) bytes",
        {
          folder.write(String(repeating: "x", count: refused.maximum_bytes + 1), to: refused.name); return 0
        }
      ),
      ("is no regular file", { mkfifo(path, 0o600) }), ("is no regular file", { mkdir(path, 0o700) }), ("open", { symlink("/etc/hostname", path) }),
    ]
    for (why, make) in makes {
      #expect(make() == 0)
      let found = try read()
      #expect(found.files == others.map { file($0, $0.name) }.sorted { $0.name < $1.name } && found.undeclared == .none)
      #expect(found.refused.keys.elementsEqual([refused]) && found.refused[refused]?.contains(path) == true && found.refused[refused]?.contains(why) == true)
      _ = unlink(path) == 0 ? 0 : rmdir(path)
    }
  }

  /// Of a record that another firmware wrote.
  @Test func whatIsNotDeclaredDoesNotComeBack() throws {
    let large = IdentFile(name: "lockout.json", content: [UInt8](repeating: 1, count: IdentityFile.lockOut.maximum_bytes + 1))
    try ident.fill([IdentFile(name: "stash.bin", content: [1]), large, file(.identity, "{}")])
    #expect(folder.names == ["identity.json"])
  }

  /// A wipe's order leaves out what the wipe replaces; and a file of the name of a key that the root of trust keeps is nobody's.
  @Test func whatIsDeclaredDependsOnTheDevice() {
    var content = IdentContent()
    #expect(content.declaredFiles == IdentityFile.allCases)
    let files = IdentityFile.allCases.map { file($0, "x") }
    content.keep(files)
    #expect(content.files == files)
    content.isWiping = true
    content.keep(files)
    #expect(content.files.map(\.name) == ["device.key", "identity.json", "lockout.json", "intent.json"])
    content.identityKey = IdentityKey(publicKey: [1], handle: [1])
    #expect(content.declaredFiles == [.identity, .lockOut, .intent, .receipt])
  }
}
