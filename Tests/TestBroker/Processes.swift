import Glibc
import Synchronization

/// Starts a program whose output and errors go to a file.
func startProcess(_ words: [String], input: String = "/dev/null", output: String) throws -> pid_t {
  var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
  defer { for argument in arguments { free(argument) } }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
  posix_spawn_file_actions_addopen(&actions, 1, output, O_CREAT | O_WRONLY | O_APPEND, 0o600)
  posix_spawn_file_actions_adddup2(&actions, 1, 2)
  // A thread that starts it may block signals; the program must still hear SIGTERM.
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  var none = sigset_t()
  sigemptyset(&none)
  posix_spawnattr_setsigmask(&attributes, &none)
  posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
  var process: pid_t = 0
  let result = posix_spawn(&process, words[0], &actions, &attributes, &arguments, environ)
  guard result == 0 else { throw TestBrokerError("\(words[0]) cannot be started: \(String(cString: strerror(result)))") }
  return process
}

func writeFile(_ path: String, _ text: String) throws { try writeFile(path, bytes: Array(text.utf8)) }

func writeFile(_ path: String, bytes: [UInt8]) throws {
  let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
  guard descriptor >= 0 else { throw TestBrokerError("\(path) cannot be written") }
  defer { close(descriptor) }
  guard write(descriptor, bytes, bytes.count) == bytes.count else { throw TestBrokerError("\(path) cannot be written") }
}

func readFile(_ path: String) -> String {
  let descriptor = open(path, O_RDONLY)
  guard descriptor >= 0 else { return "" }
  defer { close(descriptor) }
  var text: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = read(descriptor, &buffer, buffer.count)
    guard count > 0 else { return String(decoding: text, as: UTF8.self) }
    text += buffer.prefix(count)
  }
}

/// Removes a folder of plain files.
func removeFolder(_ path: String) {
  guard let folder = opendir(path) else { return }
  while let entry = readdir(folder) {
    let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    if name != ".", name != ".." { unlink("\(path)/\(name)") }
  }
  closedir(folder)
  rmdir(path)
}

/// A socket of loopback; `port` 0 for one that the kernel chooses.
func loopback(_ port: UInt16, _ act: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt, _ descriptor: CInt) -> CInt {
  // struct sockaddr_in: family (little-endian), port and address (network order), padding.
  let address: [UInt8] = [UInt8(AF_INET), 0, UInt8(port >> 8), UInt8(port & 0xff), 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
  return address.withUnsafeBytes { bytes in
    bytes.withMemoryRebound(to: sockaddr.self) { act(descriptor, $0.baseAddress!, socklen_t(bytes.count)) }
  }
}

/// No program that is started meanwhile gets it: a copy there would keep the port taken, and connections open, for as long as that program runs.
func tcpSocket() -> CInt { socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) }

/// A listening socket on a port of the kernel's choice.
func listen() throws -> (descriptor: CInt, port: UInt16) {
  let descriptor = tcpSocket()
  var name = [UInt8](repeating: 0, count: 16)
  var size = socklen_t(name.count)
  guard descriptor >= 0, loopback(0, bind, descriptor) == 0, Glibc.listen(descriptor, 64) == 0,
    name.withUnsafeMutableBytes({ $0.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress!, &size) } }) == 0
  else { throw TestBrokerError("loopback gives no port") }
  return (descriptor, UInt16(name[2]) << 8 | UInt16(name[3]))
}

/// Below the ports that the kernel hands out by itself: nobody gets one of these between the look at it and its use, for a listener or for a connection.
private let ports = 30_000..<31_300 as Range<UInt16>
private let nextPort = Mutex(UInt16.random(in: ports))

/// A port of loopback where nobody listens. Each is given once, so that no other test has it either.
public func freePort() throws -> UInt16 {
  for _ in ports {
    let port = nextPort.withLock { next in
      defer { next = next + 1 < ports.upperBound ? next + 1 : ports.lowerBound }
      return next
    }
    let descriptor = tcpSocket()
    defer { close(descriptor) }
    // As servers bind: what a child that is just being started still has of this socket is then in nobody's way.
    var on: CInt = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
    if loopback(port, bind, descriptor) == 0 { return port }
  }
  throw TestBrokerError("loopback has no port left")
}

func isListening(_ port: UInt16) -> Bool {
  let descriptor = tcpSocket()
  defer { close(descriptor) }
  return loopback(port, connect, descriptor) == 0
}
