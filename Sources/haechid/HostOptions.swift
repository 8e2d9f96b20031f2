import Glibc

/// How the device is set up: fixed in an image, by options on a development host.
struct HostOptions: Equatable {
  var listen: ListenAddress
  /// DER or PEM certificate of the maker's authority; nil where none was named.
  var makerCertificate: String?
  /// The virtual board's folder.
  var folder: String
  /// The TCP ports that a broker may be bound at: the runtime's sandbox is closed before it knows which broker it will be.
  var cloudPorts: [UInt16] = [8883]
  /// The TCP ports that peers may be reached at, for the same reason.
  var peerPorts: [UInt16] = [8443]

  /// A device: nothing of it can be changed from outside the signed image.
  static let device = HostOptions(
    listen: ListenAddress(host: "::", port: 8443), makerCertificate: "/etc/haechi/maker-ca.der", folder: "/run/haechi",
    // MQTT over TLS as IANA has it, and the port that is open where no other is.
    cloudPorts: [8883, 443])

  static let help = """
    usage: haechid [--listen ADDRESS:PORT] [--maker-ca FILE] [--state FOLDER] [--cloud-port PORT]
                   [--peer-port PORT]…

    Runs a device on this machine, on the virtual board, without any privilege.

      --listen ADDRESS:PORT  where it listens; a numeric address, IPv6 in brackets (default 127.0.0.1:8443)
      --maker-ca FILE        certificate of the maker's authority, whose stations may provision it (DER or PEM)
      --state FOLDER         its folder: gpio/NAME is a line, identity/ and state/ the runtime's own;
                             made if missing
                             (default $XDG_RUNTIME_DIR/haechid, or /tmp/haechid-UID)
      --cloud-port PORT      where its broker may listen, TCP (default 8883)
      --peer-port PORT       where a peer may listen, TCP; may stand several times (default 8443)
      --help                 show this

    SIGTERM or Ctrl-C end it in order. Where a real device would reset, it ends with status 75.
    As PID 1 it ignores all arguments and runs the board that it is linked with.
    """

  /// One sentence that says what to change.
  struct Problem: Error, Equatable { let sentence: String }

  /// - Parameter arguments: without the program's name.
  static func parse(_ arguments: [String]) throws(Problem) -> HostOptions {
    var options = HostOptions(listen: ListenAddress(host: "127.0.0.1", port: 8443), makerCertificate: nil, folder: defaultFolder)
    var rest = arguments[...]
    var peerPorts: [UInt16] = []
    while let option = rest.popFirst() {
      // `--option=value` and `--option value` are the same.
      let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      let name = parts.first ?? ""
      guard ["--listen", "--maker-ca", "--state", "--cloud-port", "--peer-port"].contains(name) else {
        throw Problem(sentence: "unknown argument \(option): see haechid --help")
      }
      guard let value = parts.count == 2 ? parts.last : rest.popFirst(), !value.isEmpty else {
        throw Problem(sentence: "\(name) needs a value: see haechid --help")
      }
      switch name {
      case "--listen":
        guard let address = ListenAddress(value) else {
          throw Problem(sentence: "--listen \(value): give a numeric address and a port, as in 127.0.0.1:8443 or [::1]:8443")
        }
        options.listen = address
      case "--maker-ca":
        guard access(value, R_OK) == 0 else {
          throw Problem(sentence: "--maker-ca \(value): \(String(cString: strerror(errno))); name a certificate that can be read")
        }
        options.makerCertificate = value
      case "--cloud-port":
        guard let port = UInt16(value), port > 0 else { throw Problem(sentence: "--cloud-port \(value): give a TCP port, 1 to 65535") }
        options.cloudPorts = [port]
      case "--peer-port":
        guard let port = UInt16(value), port > 0 else { throw Problem(sentence: "--peer-port \(value): give a TCP port, 1 to 65535") }
        peerPorts.append(port)
      default:
        options.folder = value
      }
    }
    if !peerPorts.isEmpty { options.peerPorts = peerPorts }
    return options
  }

  static func parseOrExit(_ arguments: [String]) -> HostOptions {
    if arguments.contains("--help") || arguments.contains("-h") {
      print(help)
      exit(EX_OK)
    }
    do throws(Problem) {
      return try parse(arguments)
    } catch {
      complain(error.sentence)
      exit(EX_USAGE)
    }
  }

  private static var defaultFolder: String {
    if let folder = getenv("XDG_RUNTIME_DIR") { return String(cString: folder) + "/haechid" }
    return "/tmp/haechid-\(getuid())"
  }
}

/// One sentence on standard error.
func complain(_ sentence: String) {
  let line = Array("haechid: \(sentence)\n".utf8)
  _ = write(STDERR_FILENO, line, line.count)
}
