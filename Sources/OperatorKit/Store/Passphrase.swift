internal import Foundations
internal import Glibc

/// What keeps an owner's key: words that only the owner knows.
public struct Passphrase: Sendable, CustomStringConvertible {
  let secret: SecretBytes

  /// The most bytes that are taken: far longer than anybody types.
  static let longest_bytes = 1024
  /// A new one has at least so many characters (NIST SP 800-63B section 5.1.1); one that is there may be as short as it was made.
  static let shortest_characters = 8

  /// - Parameter name: where it comes from, for the error.
  /// - Throws: `bad-argument`.
  init(_ secret: SecretBytes, isNew: Bool, from name: String) throws(OperatorError) {
    // The characters of UTF-8 are the bytes that continue none.
    let characters = secret.withUnsafeBytes { bytes in bytes.count { $0 & 0xc0 != 0x80 } }
    guard characters > 0 else { throw OperatorError("bad-argument", "the passphrase from \(name) is empty") }
    guard !isNew || characters >= Self.shortest_characters else {
      throw OperatorError(
        "bad-argument", "the passphrase from \(name) has \(characters) characters; a new one needs at least \(Self.shortest_characters)")
    }
    self.secret = secret
  }

  /// Never the words.
  public var description: String { "a passphrase" }
}

/// What a passphrase is asked for.
public enum PassphrasePurpose: Sendable, Equatable {
  /// One that exists, of the owner or file that is named.
  case unlock(String)
  /// A new one, for what is named.
  case choose(String)
}

/// Where passphrases come from. Never from an argument: those are read by everybody on the machine.
public protocol PassphraseSource: Sendable {
  /// - Throws: `bad-argument`, `passphrase-needed`, and what is wrong with a file.
  func passphrase(_ purpose: PassphrasePurpose) throws(OperatorError) -> Passphrase
}

/// The first line of a file that nobody else can read: for scripts.
public struct PassphraseFile: PassphraseSource {
  private let path: String

  public init(_ path: String) { self.path = path }

  public func passphrase(_ purpose: PassphrasePurpose) throws(OperatorError) -> Passphrase {
    let content = try PrivateFiles.readSecret(path)
    let line = SecretBytes(capacity: Passphrase.longest_bytes) { buffer in
      content.withUnsafeBytes { bytes in
        let line = bytes.prefix { $0 != 10 }.prefix(Passphrase.longest_bytes)
        buffer.copyBytes(from: line)
        // A line of a file from another system.
        return line.last == 13 ? line.count - 1 : line.count
      }
    }
    guard case .choose = purpose else { return try Passphrase(line, isNew: false, from: path) }
    return try Passphrase(line, isNew: true, from: path)
  }
}

/// A person at a terminal, who types without seeing it: once, and twice where it is new.
public struct PassphraseTerminal: PassphraseSource {
  private let path: String

  /// - Parameter path: the terminal; the process's own unless a test has another.
  public init(path: String = "/dev/tty") { self.path = path }

  public func passphrase(_ purpose: PassphrasePurpose) throws(OperatorError) -> Passphrase {
    let terminal = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY)
    guard terminal >= 0 else {
      throw OperatorError(
        "passphrase-needed",
        "a passphrase is needed and there is no terminal to ask at; give it in a file of mode 0600 with --passphrase-file FILE or HAECHI_PASSPHRASE_FILE")
    }
    defer { close(terminal) }
    switch purpose {
    case .unlock(let what):
      return try Passphrase(try ask("Passphrase of \(printable(what)): ", terminal), isNew: false, from: "the terminal")
    case .choose(let what):
      let first = try Passphrase(
        try ask("New passphrase for \(printable(what)), at least \(Passphrase.shortest_characters) characters: ", terminal), isNew: true, from: "the terminal")
      guard first.secret.isEqual(to: try ask("The same once more: ", terminal)) else {
        throw OperatorError("bad-argument", "the two passphrases differ; nothing was changed")
      }
      return first
    }
  }

  private func ask(_ question: String, _ terminal: CInt) throws(OperatorError) -> SecretBytes {
    var before = termios()
    guard tcgetattr(terminal, &before) == 0 else {
      throw OperatorError("passphrase-needed", "\(path) is no terminal, so a passphrase cannot be typed there unseen; use --passphrase-file FILE")
    }
    var unseen = before
    // Byte by byte, without echo and without signals: an interrupt must not leave the terminal without its echo.
    unseen.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
    guard tcsetattr(terminal, TCSAFLUSH, &unseen) == 0 else {
      throw OperatorError("passphrase-needed", "the terminal's echo cannot be switched off", cause: SystemCallError("tcsetattr", number: errno, subject: path))
    }
    defer { tcsetattr(terminal, TCSAFLUSH, &before) }
    say(question, terminal)
    defer { say("\n", terminal) }
    var isInterrupted = false
    let typed = SecretBytes(capacity: Passphrase.longest_bytes) { buffer in
      var count = 0
      var byte: UInt8 = 0
      while true {
        let got = read(terminal, &byte, 1)
        if got < 0, errno == EINTR { continue }
        guard got == 1 else { return count }
        switch byte {
        case 10, 13: return count
        case 3, 28:  // Ctrl-C, Ctrl-\
          isInterrupted = true
          return 0
        case 4:  // Ctrl-D
          return count
        case 8, 127:  // backspace: the whole character
          while count > 0 {
            count -= 1
            if buffer[count] & 0xc0 != 0x80 { break }
          }
        case 21: count = 0  // Ctrl-U
        default:
          guard count < buffer.count else { continue }
          buffer[count] = byte
          count += 1
        }
      }
    }
    if isInterrupted { throw OperatorError("passphrase-needed", "interrupted; nothing was changed") }
    return typed
  }

  private func say(_ text: String, _ terminal: CInt) {
    let bytes = Array(text.utf8)
    _ = Glibc.write(terminal, bytes, bytes.count)
  }
}
