import Crypto
import Dispatch
import FoundationEssentials
import Foundations
import Glibc
import Testing

@testable import OperatorKit

private func code(_ body: () throws -> some Any) -> String? {
  do {
    _ = try body()
    return nil
  } catch { return (error as? OperatorError)?.code ?? "\(error)" }
}

@Suite struct OwnerFolderTests {
  @Test func theKeyLiesUnderItsPassphrase() throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path)
    let made = try makeOwner(home.ownerFolder)
    #expect(try mode(home.ownerFolder + "/ca.key") == 0o600)
    let pem = String(decoding: try PrivateFiles.read(home.ownerFolder + "/ca.key"), as: UTF8.self)
    #expect(pem.hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----"))
    let owner = try OwnerFolder.open(home.ownerFolder)
    #expect(owner.ownerId == made.owner.ownerId)
    #expect(try owner.unlock(FixedPassphrase()).issuer.certificate == owner.authority)
    #expect(code { try owner.unlock(FixedPassphrase(words: "correct horse battery stable")) } == "passphrase-wrong")
    #expect(code { try makeOwner(home.ownerFolder) } == "file-exists")
    #expect(code { try OwnerFolder.open(folder.path + "/none") } == "file-missing")
  }

  @Test func aKeyWithoutPassphraseIsRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/owner"
    _ = try makeOwner(path)
    let plain = try PrivateKey.generateP256().pem()
    try PrivateFiles.write(secret: plain, to: path + "/ca.key", existing: .replace)
    #expect(code { try OwnerFolder.open(path).unlock(FixedPassphrase()) } == "file-malformed")
  }

  @Test func aKeyOfAnotherOwnerIsRefused() throws {
    let folder = try TemporaryFolder()
    _ = try makeOwner(folder.path + "/one")
    _ = try makeOwner(folder.path + "/two")
    try PrivateFiles.write(try PrivateFiles.read(folder.path + "/two/ca.key"), to: folder.path + "/one/ca.key", existing: .replace)
    #expect(code { try OwnerFolder.open(folder.path + "/one").unlock(FixedPassphrase()) } == "file-malformed")
  }

  @Test func membersLiveShortUnlessSaidOtherwise() throws {
    let folder = try TemporaryFolder()
    let now_s: Int64 = 1_800_000_000
    let unlocked = try makeOwner(folder.path + "/owner", now_s: now_s)
    let grace = try unlocked.addMember("grace", role: "viewer", now_s: now_s)
    #expect(grace.validUntil == rfc3339(now_s - 3600 + 30 * 86_400))
    let ada = try unlocked.addMember("ada", role: "admin", days: 7, now_s: now_s)
    #expect(ada.validUntil == rfc3339(now_s - 3600 + 7 * 86_400))
    #expect(try unlocked.owner.members().map(\.name) == ["ada", "grace"])
    for days in [0, -1, 367, Int.max] { #expect(code { try unlocked.addMember("eve", role: "viewer", days: days) } == "bad-argument") }
    #expect(code { try unlocked.addMember("../eve", role: "viewer") } == "bad-argument")
  }

  @Test func ownersAreListedWithWhatIsTheirs() throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path + "/home")
    #expect(try OwnerRecord.all(home).isEmpty)
    let one = try makeOwner(home.ownerFolder)
    let two = try makeOwner(folder.path + "/two")
    _ = try one.addMember("ada", role: "admin")
    try DeviceBook.update(home) { (book) throws(OperatorError) in
      try book.remember(KnownDevice(deviceId: "0123456789abcdef0123", address: "h:1", ownerId: two.owner.ownerId, ownerFolder: folder.path + "/two"))
      try book.remember(KnownDevice(deviceId: "fedcba98765432100000", address: "h:2", ownerId: "0", ownerFolder: folder.path + "/gone"))
    }
    let owners = try OwnerRecord.all(home)
    #expect(owners.map(\.ownerId) == [one.owner.ownerId, two.owner.ownerId])
    #expect(owners.map(\.members) == [1, 0] && owners.map(\.devices) == [0, 1])
  }
}

@Suite struct OwnerBackupTests {
  @Test func isRestoredAsItWas() throws {
    let folder = try TemporaryFolder()
    let (source, file, target) = (folder.path + "/owner", folder.path + "/backup", folder.path + "/again")
    let unlocked = try makeOwner(source)
    _ = try unlocked.addMember("ada", role: "admin")
    try PrivateFiles.write(Array("a list\n".utf8), to: source + "/revocations.pem", existing: .refuse)
    let backup = try OwnerBackup.export(source, to: file, passphrases: FixedPassphrase())
    #expect(backup.ownerId == unlocked.owner.ownerId && backup.members == ["ada"])
    #expect(try mode(file) == 0o600)
    let restored = try OwnerBackup.restore(file, into: target, passphrases: FixedPassphrase())
    #expect(restored.ownerId == backup.ownerId && restored.made == backup.made)
    for name in ["ca.pem", "ca.key", "revocations.pem", "members/ada.pem"] {
      #expect(try PrivateFiles.read("\(target)/\(name)") == PrivateFiles.read("\(source)/\(name)"))
    }
    #expect(try mode(target + "/ca.key") == 0o600)
    // Members' keys are not in it, and the operator is told what to do.
    #expect(!PrivateFiles.exists(target + "/members/ada.key"))
    let again = try OwnerFolder.open(target)
    #expect { try again.credential("ada", now_s: secondsNow()) } throws: { ($0 as? OperatorError)?.reason.contains("--renew") == true }
    _ = try again.unlock(FixedPassphrase()).addMember("ada", role: "admin", renew: true)
    _ = try again.credential("ada", now_s: secondsNow())
  }

  @Test func overwritesNothing() throws {
    let folder = try TemporaryFolder()
    let (source, file) = (folder.path + "/owner", folder.path + "/backup")
    _ = try makeOwner(source)
    _ = try OwnerBackup.export(source, to: file, passphrases: FixedPassphrase())
    let before = try PrivateFiles.read(file)
    #expect(code { try OwnerBackup.export(source, to: file, passphrases: FixedPassphrase()) } == "file-exists")
    #expect(try PrivateFiles.read(file) == before)
    #expect(code { try OwnerBackup.restore(file, into: source, passphrases: FixedPassphrase()) } == "file-exists")
    try PrivateFiles.makeFolder(folder.path + "/half/members")
    #expect(code { try OwnerBackup.restore(file, into: folder.path + "/half", passphrases: FixedPassphrase()) } == "file-exists")
    #expect(!PrivateFiles.exists(folder.path + "/half/ca.pem"))
  }

  @Test func aWrongPassphraseOrABadFileIsNamedAndNothingIsWritten() throws {
    let folder = try TemporaryFolder()
    let (source, file, target) = (folder.path + "/owner", folder.path + "/backup", folder.path + "/again")
    _ = try makeOwner(source)
    #expect(code { try OwnerBackup.export(source, to: file, passphrases: FixedPassphrase(words: "another one")) } == "passphrase-wrong")
    #expect(!PrivateFiles.exists(file))
    _ = try OwnerBackup.export(source, to: file, passphrases: FixedPassphrase())
    #expect(code { try OwnerBackup.restore(file, into: target, passphrases: FixedPassphrase(words: "another one")) } == "passphrase-wrong")
    let good = try PrivateFiles.read(file)
    func restored(_ bytes: [UInt8]) throws -> OperatorError? {
      try PrivateFiles.write(bytes, to: file, existing: .replace)
      do throws(OperatorError) {
        _ = try OwnerBackup.restore(file, into: target, passphrases: FixedPassphrase())
        return nil
      } catch { return error }
    }
    var changed = good
    changed[good.count / 2] ^= 1
    #expect(try restored(changed)?.code == "passphrase-wrong")
    let cut = try restored(Array(good.prefix(30)))
    #expect(cut?.code == "file-malformed" && cut?.reason.contains(file) == true)
    let other = try restored(Array("-----BEGIN CERTIFICATE-----\n".utf8))
    #expect(other?.code == "file-malformed" && other?.reason.contains("no backup of an owner") == true)
    #expect(code { try OwnerBackup.restore(folder.path + "/none", into: target, passphrases: FixedPassphrase()) } == "file-missing")
    #expect(!PrivateFiles.exists(target))
  }

  /// Authentic boxes with wrong contents: written by a haechi of another time, or by somebody who knows the passphrase.
  @Test(arguments: [
    (#"{"version":2,"ownerId":"x","made":"x","files":{}}"#, "version 2"), (#"{"version":1,"ownerId":"x","made":"x","files":{}}"#, "ca.pem"),
    ("[]", "holds no backup"),
    (#"{"version":1,"ownerId":"x","made":"x","files":{"../../evil.pem":"x"}}"#, "which no owner has"),
    (#"{"version":1,"ownerId":"x","made":"x","files":{"members/a/b.pem":"x"}}"#, "which no owner has"),
    (#"{"version":1,"ownerId":"x","made":"x","files":{"members/ada.key":"x"}}"#, "which no owner has"),
    (#"{"version":1,"ownerId":"x","made":"x","files":{"ca.pem":"x","ca.key":"x"}}"#, "is not an owner's CA"),
  ]) func wrongContentsAreNamed(_ content: String, _ reason: String) throws {
    let folder = try TemporaryFolder()
    let file = folder.path + "/backup"
    let box = try PassphraseBox.seal(
      Array(content.utf8), title: "haechi-owner-backup-1", passphrase: SecretBytes(copying: Array(FixedPassphrase().words.utf8)))
    try PrivateFiles.write(box, to: file, existing: .refuse)
    #expect { try OwnerBackup.restore(file, into: folder.path + "/again", passphrases: FixedPassphrase()) } throws: {
      ($0 as? OperatorError)?.code == "file-malformed" && ($0 as? OperatorError)?.reason.contains(reason) == true
    }
    #expect(!PrivateFiles.exists(folder.path + "/again"))
  }
}

@Suite struct PassphraseTests {
  private func file(_ content: String, mode: UInt32 = 0o600) throws -> (TemporaryFolder, PassphraseFile) {
    let folder = try TemporaryFolder()
    try PrivateFiles.write(Array(content.utf8), to: folder.path + "/p", existing: .refuse, mode: mode)
    return (folder, PassphraseFile(folder.path + "/p"))
  }

  @Test(arguments: ["correct horse", "correct horse\n", "correct horse\r\n", "correct horse\nanother line\n"]) func theFirstLineOfAFileCounts(_ content: String)
    throws
  {
    let (folder, source) = try file(content)
    defer { withExtendedLifetime(folder) {} }
    #expect(try source.passphrase(.unlock("x")).secret.isEqual(to: SecretBytes(copying: Array("correct horse".utf8))))
  }

  @Test func emptyShortAndOpenFilesAreRefused() throws {
    let (empty, none) = try file("\nsecond")
    #expect(code { try none.passphrase(.unlock("x")) } == "bad-argument")
    let (short, few) = try file("sévènxé\n")
    #expect(code { try few.passphrase(.choose("x")) } == "bad-argument", "7 characters, whatever their bytes")
    #expect(code { try few.passphrase(.unlock("x")) } == nil)
    let (open, all) = try file("correct horse", mode: 0o644)
    #expect(code { try all.passphrase(.unlock("x")) } == "file-too-open")
    withExtendedLifetime((empty, short, open)) {}
  }

  @Test func isNotToldByAccident() throws {
    let passphrase = try FixedPassphrase().passphrase(.unlock("x"))
    #expect(!"\(passphrase)".contains("horse") && !String(reflecting: passphrase).contains("horse"))
  }

  @Test func withoutATerminalItSaysWhatToDo() {
    #expect { try PassphraseTerminal(path: "/dev/null").passphrase(.unlock("x")) } throws: {
      ($0 as? OperatorError)?.code == "passphrase-needed" && ($0 as? OperatorError)?.reason.contains("--passphrase-file") == true
    }
    #expect(code { try PassphraseTerminal(path: "/nowhere/tty").passphrase(.unlock("x")) } == "passphrase-needed")
  }
}

/// A terminal of its own: what is typed comes from the test, and what the terminal shows goes to it.
@Suite struct PassphraseTerminalTests {
  private struct Typed: Sendable {
    let result: String
    let shown: String
    let echoesAfterwards: Bool
  }

  private static func ask(_ path: String, _ purpose: PassphrasePurpose) -> String {
    do throws(OperatorError) {
      let secret = try PassphraseTerminal(path: path).passphrase(purpose).secret
      return secret.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    } catch {
      return "error " + error.code
    }
  }

  /// Types each of `answers` once a question is there.
  private func type(_ answers: [String], _ purpose: PassphrasePurpose) async throws -> Typed {
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
    defer { close(master) }
    // TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h, which Swift does not import: unlock the other end, and which it is.
    var lock: CInt = 0
    var number: CInt = -1
    try #require(master >= 0 && ioctl(master, 0x4004_5431, &lock) == 0 && ioctl(master, 0x8004_5430, &number) == 0)
    let path = "/dev/pts/\(number)"
    // The kernel forgets a terminal's settings with its last user.
    let other = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
    defer { close(other) }
    // On a thread that may wait: the tests' own must not.
    async let asking = withCheckedContinuation { (done: CheckedContinuation<String, Never>) in
      DispatchQueue.global().async { done.resume(returning: Self.ask(path, purpose)) }
    }
    var shown = ""
    for (index, answer) in answers.enumerated() {
      for _ in 0..<6000 where shown.split(separator: ": ", omittingEmptySubsequences: false).count < index + 2 {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let got = read(master, &buffer, buffer.count)
        if got > 0 { shown += String(decoding: buffer[..<got], as: UTF8.self) } else { try await Task.sleep(for: .milliseconds(10)) }
      }
      let bytes = Array(answer.utf8)
      try #require(write(master, bytes, bytes.count) == bytes.count)
    }
    let result = await asking
    var settings = termios()
    try #require(tcgetattr(other, &settings) == 0)
    return Typed(result: result, shown: shown, echoesAfterwards: settings.c_lflag & tcflag_t(ECHO) != 0)
  }

  @Test func typesUnseen() async throws {
    let typed = try await type(["correct horse\r"], .unlock("owner 0123"))
    #expect(typed.result == "correct horse" && typed.shown.contains("owner 0123") && !typed.shown.contains("horse") && typed.echoesAfterwards)
  }

  @Test func twiceWhereItIsNew() async throws {
    #expect(try await type(["correct horse\n", "correct horse\n"], .choose("x")).result == "correct horse")
    #expect(try await type(["correct horse\n", "correct hors\n"], .choose("x")).result == "error bad-argument")
    #expect(try await type(["short\n"], .choose("x")).result == "error bad-argument")
  }

  @Test func whatWasMistypedIsTakenBack() async throws {
    #expect(try await type(["correct horsé\u{7f}e\n"], .unlock("x")).result == "correct horse")
    #expect(try await type(["nonsense\u{15}correct horse\n"], .unlock("x")).result == "correct horse")
  }

  /// An interrupt must not leave a terminal that shows nothing any more.
  @Test func anInterruptEndsItAndTheEchoComesBack() async throws {
    let typed = try await type(["half\u{3}"], .unlock("x"))
    #expect(typed.result == "error passphrase-needed" && typed.echoesAfterwards)
  }
}
