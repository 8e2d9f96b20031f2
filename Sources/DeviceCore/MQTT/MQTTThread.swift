internal import CMosquitto
internal import Foundations
internal import Glibc
internal import Synchronization

/// A descriptor that one thread waits on and others make readable (eventfd(2)).
final class EventDescriptor: Sendable {
  let number: CInt

  init() throws(MQTTError) {
    number = eventfd(0, CInt(EFD_CLOEXEC | EFD_NONBLOCK))
    guard number >= 0 else { throw MQTTError("client-invalid", "no descriptor for the client's thread: \(systemErrorMessage(errno))") }
  }

  deinit { close(number) }

  func signal() {
    var one: UInt64 = 1
    // It fails only where the count is full: then it is readable already.
    _ = write(number, &one, 8)
  }

  func clear() {
    var count: UInt64 = 0
    _ = read(number, &count, 8)
  }
}

/// The thread that a session runs on, from its start to its end.
final class MQTTThread: Sendable {
  /// Readable once the thread has nothing more to do.
  private let ended: EventDescriptor
  /// nil once joined.
  private let identifier: Mutex<pthread_t?>

  /// What the new thread is given.
  private final class Start {
    let session: MosquittoSession
    let ended: EventDescriptor
    init(_ session: MosquittoSession, _ ended: EventDescriptor) {
      self.session = session
      self.ended = ended
    }
  }

  /// Enough for a handshake's arithmetic several times over; the default of 8 MB would count against a small device's limits.
  private static let stack_bytes = 512 * 1_024

  /// - Throws: `client-invalid` where there can be no more threads.
  init(_ session: MosquittoSession) throws(MQTTError) {
    ended = try EventDescriptor()
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, Self.stack_bytes)
    let start = Unmanaged.passRetained(Start(session, ended))
    var thread = pthread_t()
    let result = pthread_create(&thread, &attributes, runThread, start.toOpaque())
    guard result == 0 else {
      start.release()
      throw MQTTError("client-invalid", "no thread for the client: \(systemErrorMessage(result))")
    }
    identifier = Mutex(thread)
  }

  /// A thread that nobody waited for frees itself when it ends.
  deinit {
    if let thread = identifier.withLock({ $0 }) { pthread_detach(thread) }
  }

  /// Whether the thread ended before `deadline_ms` had passed.
  func join(deadline_ms: UInt64) -> Bool {
    let end_ms = BootClock.now_ms() + deadline_ms
    while true {
      let now_ms = BootClock.now_ms()
      var descriptor = pollfd(fd: ended.number, events: Int16(POLLIN), revents: 0)
      if poll(&descriptor, 1, CInt(clamping: end_ms > now_ms ? end_ms - now_ms : 0)) > 0 { break }
      guard BootClock.now_ms() < end_ms else { return false }
    }
    identifier.withLock { thread in
      if let thread { pthread_join(thread, nil) }
      thread = nil
    }
    return true
  }

  private typealias Entry = @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
  private let runThread: Entry = { argument in
    guard let argument else { return nil }
    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
    _ = haechi_name_this_thread("mqtt")
    start.session.run()
    start.ended.signal()
    return nil
  }
}
