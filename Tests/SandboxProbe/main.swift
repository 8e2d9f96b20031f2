// sandbox-probe WHAT FOLDER PORT: enters the runtime's sandbox, as the runtime does, and tries one thing in it.
// Two words start a worker instead, before the sandbox.
// Ends with status 0 where that went as the sandbox promises; most attacks end it with SIGSYS instead.
import CHaechi
import Crypto
import Foundations
import Glibc
import LinuxProcess
import MQTT
import NIOCore
import NIOPosix
import TLS

func end(_ isAsPromised: Bool) -> Never { exit(isAsPromised ? 0 : 1) }

let arguments = CommandLine.arguments
guard arguments.count == 4, let port = UInt16(arguments[3]) else { exit(64) }
let folder = arguments[2]

// A worker is the supervisor's child and no runtime: it is tried before the sandbox, which forbids to fork.
switch arguments[1] {
case "worker": end(try workerIsAsPromised(rights: .none))
case "worker-storage": end(try workerIsAsPromised(rights: .storage))
case "worker-network": end(try workerIsAsPromised(rights: .network))
default: break
}

let policy = SandboxPolicy(
  user: nil, writableFolders: [folder], readablePaths: ["/proc", "/sys/devices/system/cpu"], listenPorts: [port],
  connectPorts: [port], maximumThreads: nil, isStrict: false)
let notes = try Sandbox.enter(policy, supervisor: getppid())
let hasLandlock = notes.isEmpty

func bindTCP(port: UInt16) -> CInt {
  let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
  // struct sockaddr_in: family (little-endian), port and address (network order), padding.
  let address: [UInt8] = [UInt8(AF_INET), 0, UInt8(port >> 8), UInt8(port & 0xff), 127, 0, 0, 1] + [UInt8](repeating: 0, count: 8)
  let result = address.withUnsafeBytes { bytes in
    bind(descriptor, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count))
  }
  return result == 0 ? 0 : errno
}

switch arguments[1] {
case "vault": end(try vaultWorks(in: folder))
case "work":
  // Everything that the runtime's libraries do: event loops, sockets, timers, tasks, files.
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
  let server = try ServerBootstrap(group: group)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Echo()) } }
    .bind(to: try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))).wait()
  let answered = group.next().makePromise(of: Int.self)
  let client = try ClientBootstrap(group: group)
    .channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Count(until: 1 << 20, answered)) }
    }
    .connect(to: server.localAddress ?? SocketAddress(ipAddress: "127.0.0.1", port: Int(port))).wait()
  client.writeAndFlush(ByteBuffer(repeating: 7, count: 1 << 20), promise: nil)
  guard try answered.futureResult.wait() == 1 << 20 else { end(false) }
  let sum = group.next().makePromise(of: Int.self)
  Task.detached {
    try await Task.sleep(nanoseconds: 1_000_000)
    let total = await withTaskGroup(of: Int.self) { tasks in
      for number in 0..<64 { tasks.addTask { number } }
      return await tasks.reduce(0, +)
    }
    sum.succeed(total)
  }
  guard try sum.futureResult.wait() == 2016 else { end(false) }
  // Long enough for Dispatch's monitor of its threads, which looks at each of them in /proc once a second.
  let busy = group.next().makePromise(of: Void.self)
  Task.detached {
    await withTaskGroup(of: Void.self) { tasks in for _ in 0..<16 { tasks.addTask { usleep(200_000) } } }
    busy.succeed(())
  }
  try busy.futureResult.wait()
  let path = folder + "/new"
  let file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0o600)
  guard file >= 0, write(file, "state", 5) == 5, fsync(file) == 0, rename(path, folder + "/state") == 0, access(folder + "/state", R_OK) == 0,
    unlink(folder + "/state") == 0
  else { end(false) }
  try group.syncShutdownGracefully()
  end(true)
case "mqtt":
  let identities = try makeIdentities()
  // libmosquitto connects, by TLS with both certificates, to what answers as a broker does; then says goodbye.
  let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
  let server = try ServerBootstrap(group: group)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandlers([TLSHandler(server: identities.server, handshakeDeadline: .seconds(60)), AcceptEverybody()])
      }
    }
    .bind(to: try SocketAddress(ipAddress: "127.0.0.1", port: Int(port))).wait()
  let connected = group.next().makePromise(of: Void.self)
  let ended = group.next().makePromise(of: String.self)
  let client = try MQTTClient(MQTTConfiguration(clientIdentifier: "probe"), tls: identities.client) { event in
    switch event {
    case .connected: connected.succeed(())
    case .disconnected(let error):
      connected.fail(error ?? MQTTGone())
      ended.succeed(error?.code ?? "none")
    default: break
    }
  }
  client.connect(to: NetworkAddress(ipv4: 0x7f00_0001), port: port)
  try connected.futureResult.wait()
  guard client.closeAndWait(deadline_ms: 60_000), try ended.futureResult.wait() == "none" else { end(false) }
  try server.close().wait()
  // A name is asked for where nobody answers: the resolver's sockets are allowed, and it comes to an end.
  guard asksForNames() else { end(false) }
  try group.syncShutdownGracefully()
  end(true)
case "socket-pair":
  var pair: [CInt] = [0, 0]
  end(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair) == -1 && errno == ENOSYS)
case "files":
  // Not to be read, not to be written, not to be made: whoever the user is.
  let isRefused = open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES && open("/tmp/haechi-probe-\(getpid())", O_CREAT | O_WRONLY, 0o600) < 0
  end(isRefused || !hasLandlock)
case "other-process":
  // /proc may be read for one's own threads; what other processes hold may not.
  end(open("/proc/self/maps", O_RDONLY) >= 0 && open("/proc/\(getppid())/environ", O_RDONLY) < 0 && open("/proc/\(getppid())/mem", O_RDONLY) < 0)
case "device-node": end(mknod(folder + "/node", S_IFIFO | 0o600, 0) != 0)
case "port": end((bindTCP(port: port == 65535 ? 1024 : port + 1) == EACCES || !hasLandlock) && bindTCP(port: port) != EACCES)
case "limits":
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
  end(limit.rlim_max == 0)
case "execute":
  var none: [UnsafeMutablePointer<CChar>?] = [nil]
  execve("/proc/self/exe", &none, &none)
  end(false)
case "fork": end(haechi_fork() < 0)
case "signal": end(kill(getppid(), 0) == 0)
case "netlink": end(socket(AF_NETLINK, CInt(SOCK_RAW.rawValue), 0) < 0)
case "raw-socket": end(socket(AF_INET, CInt(SOCK_RAW.rawValue), 1) < 0)
case "code": end(mmap(nil, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
case "code-later":
  let memory = mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
  end(mprotect(memory, 4096, PROT_READ | PROT_EXEC) != 0)
case "user": end(setuid(1) == 0)
default: exit(64)
}

struct MQTTGone: Error {}

/// A broker and a client that know each other.
func makeIdentities() throws -> (server: TLSServerContext, client: LibraryClientContext) {
  let clock = WallClock(floor_s: 0)
  let usages: [ASN1ObjectIdentifier] = [.serverAuthentication, .clientAuthentication]
  func template(_ kind: CertificateTemplate.Kind) -> CertificateTemplate {
    CertificateTemplate(
      kind: kind, subject: DistinguishedName(commonName: "probe"), notBefore_s: clock.now_s() - 60, notAfter_s: clock.now_s() + 3_600,
      extendedKeyUsages: kind == .leaf ? usages : [], names: kind == .leaf ? [.dns("broker.test")] : [])
  }
  let authorityKey = try PrivateKey.generateP256()
  let authority = try CertificateIssuer(certificate: CertificateIssuer.selfSigned(template(.authority(pathLength: 0)), key: authorityKey), key: authorityKey)
  let key = try PrivateKey.generateP256()
  let chain = [try authority.issue(template(.leaf), publicKey: key.publicKey)]
  let server = try TLSServerContext(
    chain: chain, key: key, trust: .authority([authority.certificate], requiredUsage: .clientAuthentication), clock: clock, tickets: SessionTicketKeys())
  let client = try LibraryClientContext(
    chain: chain, key: key, authorities: [authority.certificate], server: .dns("broker.test"), clock: clock)
  return (server, client)
}

/// Answers whatever comes first with the CONNACK of MQTT 5.
final class AcceptEverybody: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private var hasAnswered = false
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !hasAnswered else { return }
    hasAnswered = true
    context.writeAndFlush(NIOAny(ByteBuffer(bytes: [0x20, 3, 0, 0, 0])), promise: nil)
  }
}

/// The C library's resolver runs to its end: the port of loopback that it asks refuses.
func asksForNames() -> Bool {
  var answer = [UInt8](repeating: 0, count: 512)
  let closedPort: UInt16 = 9
  return haechi_resolve("broker.test", HAECHI_RECORD_A, [0x7f00_0001], [closedPort], 1, &answer, 512) == HAECHI_RESOLVE_NO_ANSWER
}

final class Echo: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
}

final class Count: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let goal: Int
  private let promise: EventLoopPromise<Int>
  private var count = 0
  init(until goal: Int, _ promise: EventLoopPromise<Int>) {
    self.goal = goal
    self.promise = promise
  }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    count += unwrapInboundIn(data).readableBytes
    if count >= goal { promise.succeed(count) }
  }
}
