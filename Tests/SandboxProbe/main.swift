// sandbox-probe WHAT FOLDER PORT: enters the runtime's sandbox, as the runtime does, and tries one thing in it.
// Ends with status 0 where that went as the sandbox promises; most attacks end it with SIGSYS instead.
import CHaechi
import Glibc
import LinuxProcess
import NIOCore
import NIOPosix

func end(_ isAsPromised: Bool) -> Never { exit(isAsPromised ? 0 : 1) }

let arguments = CommandLine.arguments
guard arguments.count == 4, let port = UInt16(arguments[3]) else { exit(64) }
let folder = arguments[2]
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
