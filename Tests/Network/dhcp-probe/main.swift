// Runs the DHCP client on a real interface and sets what it is given with ip(8). It is what the supervisor and the runtime do
// together on the device, for the test against a real server: `dhcp-probe INTERFACE`, as root, in a network namespace of its own.
// Prints one line an event; ends on SIGTERM.
import Foundations
import Glibc
import NIOCore
import NIOPosix
import Network

/// One line in one write, so that lines of two threads never mix.
func line(_ text: String, to descriptor: CInt) {
  let bytes = Array((text + "\n").utf8)
  _ = write(descriptor, bytes, bytes.count)
}

func fail(_ text: String) -> Never {
  line("dhcp-probe: \(text)", to: 2)
  exit(2)
}

func say(_ text: String) { line("\(BootClock.now_ms()) \(text)", to: 1) }

struct CommandFailed: Error { let command: String }

/// Runs ip(8) and waits for it.
func ipCommand(_ arguments: String...) throws {
  let words = ["ip"] + arguments
  var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
  defer { pointers.forEach { free($0) } }
  var process: pid_t = 0
  guard posix_spawnp(&process, "ip", nil, nil, &pointers, environ) == 0 else { throw CommandFailed(command: "spawn ip") }
  var status: CInt = 0
  while waitpid(process, &status, 0) < 0 && errno == EINTR {}
  guard status == 0 else { throw CommandFailed(command: words.joined(separator: " ")) }
}

struct Interface: DHCPLeaseHolder {
  let name: String
  let resolvers = ResolverStore()

  func apply(_ lease: DHCPLease) async throws {
    let remaining_s = lease.remaining_s(now_ms: BootClock.now_ms())
    let valid = remaining_s == .max ? "forever" : "\(remaining_s)"
    try ipCommand("-4", "address", "replace", "\(lease.address)/\(lease.prefixLength)", "dev", name, "valid_lft", valid, "preferred_lft", valid)
    if let router = lease.router { try ipCommand("-4", "route", "replace", "default", "via", "\(router)", "dev", name) }
    resolvers.set(lease.resolvers)
    say(
      "APPLY \(lease.address)/\(lease.prefixLength) router=\(lease.router?.description ?? "none") server=\(lease.server) valid=\(valid) "
        + "resolvers=\(lease.resolvers.resolvers.map(\.description).joined(separator: ","))")
  }

  func drop() async throws {
    try ipCommand("-4", "address", "flush", "dev", name)
    resolvers.set(.none)
    say("DROP")
  }
}

func readHardwareAddress(_ interface: String) -> [UInt8]? {
  guard let file = fopen("/sys/class/net/\(interface)/address", "r") else { return nil }
  defer { fclose(file) }
  var text = [CChar](repeating: 0, count: 64)
  guard fgets(&text, 64, file) != nil else { return nil }
  let line = String(decoding: text.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return bytes(hexadecimal: line.split(separator: ":").joined())
}

func openSocket(_ interface: String) -> CInt {
  let descriptor = socket(AF_INET, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
  guard descriptor >= 0 else { fail("socket: \(systemErrorMessage(errno))") }
  var on: CInt = 1
  var name = Array(interface.utf8)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = in_port_t(68).bigEndian
  guard setsockopt(descriptor, SOL_SOCKET, SO_BROADCAST, &on, 4) == 0,
    setsockopt(descriptor, SOL_SOCKET, SO_BINDTODEVICE, &name, socklen_t(name.count)) == 0
  else { fail("setsockopt \(interface): \(systemErrorMessage(errno))") }
  let bound = withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
  }
  guard bound == 0 else { fail("bind port 68: \(systemErrorMessage(errno))") }
  return descriptor
}

guard CommandLine.arguments.count == 2 else { fail("usage: dhcp-probe INTERFACE") }
let name = CommandLine.arguments[1]
guard let address = readHardwareAddress(name) else { fail("interface \(name) has no hardware address: does it exist?") }

let loop = MultiThreadedEventLoopGroup.singleton.next()
let interface = Interface(name: name)
do {
  let configuration = try DHCPClientConfiguration(hardwareAddress: address, hostName: "haechi-probe", initialDelay_ms: 200)
  let driver = try await DHCPDriver.make(
    socket: openSocket(name), configuration: configuration, eventLoop: loop, holder: interface,
    log: { level, text in say("LOG \(level.word) \(text)") }
  ).get()
  say("START \(name)")
  // The carrier as sysfs tells it, looked at four times a second: a test needs no netlink.
  var wasUp = false
  while true {
    var digit = [CChar](repeating: 0, count: 4)
    if let file = fopen("/sys/class/net/\(name)/carrier", "r") {
      _ = fgets(&digit, 4, file)
      fclose(file)
    }
    let isUp = digit[0] == 0x31
    if isUp != wasUp {
      say("LINK \(isUp ? "up" : "down")")
      driver.linkChanged(up: isUp)
      wasUp = isUp
    }
    try await Task.sleep(for: .milliseconds(250))
  }
} catch {
  fail("\(error)")
}
