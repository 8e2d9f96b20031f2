import Glibc
import Synchronization

/// Passes TCP on to a port of loopback and keeps what went by: what a broker was really sent.
public final class RecordingProxy: Sendable {
  public let port: UInt16
  private let target: UInt16
  private let listener: CInt
  private let state = Mutex(State())

  private struct State {
    var connections: [(sent: [UInt8], received: [UInt8])] = []
    var open: [Int: (CInt, CInt)] = [:]
    var isHeld = false
  }

  public init(to target: UInt16) throws {
    self.target = target
    (listener, port) = try listen()
    let listener = listener
    startThread { [weak self] in
      while true {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        _ = fcntl(client, F_SETFD, FD_CLOEXEC)
        guard let self else {
          close(client)
          return
        }
        self.serve(client)
      }
    }
  }

  deinit {
    shutdown(listener, CInt(SHUT_RDWR))
    close(listener)
  }

  /// Cuts every connection as a power cut would look from outside: at once, and without a word.
  public func cut() {
    for (client, server) in state.withLock({ Array($0.open.values) }) {
      shutdown(client, CInt(SHUT_RDWR))
      shutdown(server, CInt(SHUT_RDWR))
    }
  }

  /// While it is held nothing is passed on and no connection ends: a cable that is cut somewhere on the way. What was kept back when a
  /// connection is cut never arrives.
  public func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }

  private var isHeld: Bool { state.withLock { $0.isHeld } }

  public var connectionCount: Int { state.withLock { $0.connections.count } }
  /// What clients sent, by connection.
  public var sent: [[UInt8]] { state.withLock { $0.connections.map(\.sent) } }

  private func serve(_ client: CInt) {
    let server = tcpSocket()
    let isConnected = loopback(target, connect, server) == 0
    let number = state.withLock { state in
      state.connections.append(([], []))
      if isConnected { state.open[state.connections.count - 1] = (client, server) }
      return state.connections.count - 1
    }
    guard isConnected else {
      close(client)
      close(server)
      return
    }
    startThread { [weak self] in
      pump(client, server) { bytes in
        self?.state.withLock { $0.connections[number].sent += bytes }
        while self?.isHeld == true { usleep(5_000) }
      }
    }
    startThread { [weak self] in
      pump(server, client) { bytes in
        self?.state.withLock { $0.connections[number].received += bytes }
        while self?.isHeld == true { usleep(5_000) }
      }
    }
  }
}

/// The types of the TLS records in `bytes` (RFC 8446 section 5.1): 20 change cipher spec, 21 alert, 22 handshake, 23 encrypted.
public func tlsRecordTypes(_ bytes: [UInt8]) -> [(type: UInt8, length: Int)] {
  var records: [(UInt8, Int)] = []
  var index = 0
  while index + 5 <= bytes.count {
    let length = Int(bytes[index + 3]) << 8 | Int(bytes[index + 4])
    records.append((bytes[index], length))
    index += 5 + length
  }
  return records
}

/// Descriptors are left to the process: another thread may still use their numbers.
private func pump(_ source: CInt, _ target: CInt, _ keep: ([UInt8]) -> Void) {
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = recv(source, &buffer, buffer.count, 0)
    guard count > 0 else { break }
    let bytes = Array(buffer.prefix(count))
    keep(bytes)
    guard send(target, bytes, count, CInt(MSG_NOSIGNAL)) == count else { break }
  }
  shutdown(target, CInt(SHUT_WR))
}

private final class Job {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// A thread of its own for something that blocks.
private func startThread(_ run: @escaping @Sendable () -> Void) {
  var thread = pthread_t()
  let job = Unmanaged.passRetained(Job(run))
  let result = pthread_create(
    &thread, nil,
    { argument in
      guard let argument else { return nil }
      Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().run()
      return nil
    }, job.toOpaque())
  if result == 0 { pthread_detach(thread) } else { job.release() }
}
