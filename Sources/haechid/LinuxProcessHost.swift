import Foundations
import LinuxProcess
import Supervisor
import SupervisorLink

/// Linux, as the supervisor sees it.
final class LinuxProcessHost: ProcessHost {
  private let runtimeArguments: () -> [String]
  private let signals: SignalDescriptor
  private var link: PacketSocket?
  private var workers: [Int32: Worker] = [:]
  private var isEndRequested = false

  /// - Parameter runtimeArguments: gives the `argv` of the next runtime.
  init(runtimeArguments: @escaping () -> [String]) throws(SystemCallError) {
    self.runtimeArguments = runtimeArguments
    signals = try SignalDescriptor()
  }

  func now_us() -> UInt64 { BootClock.now_us() }

  func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
  }

  func wait(for descriptors: [CInt], toSend: Bool, timeout_ms: UInt32) {
    let inputs = descriptors + [signals.descriptor] + (link.map { [$0.descriptor] } ?? [])
    Descriptors.wait(inputs: inputs, output: toSend ? link?.descriptor : nil, timeout_ms: timeout_ms)
    // SIGCHLD only had to wake; SIGHUP is nobody's here.
    if signals.take().contains(where: { $0 == .terminate || $0 == .interrupt }) { isEndRequested = true }
  }

  func takeEndRequest() -> Bool {
    defer { isEndRequested = false }
    return isEndRequested
  }

  func takeEnded() -> [EndedChild] {
    ChildProcess.reap().map { process, end in
      switch end {
      case .exited(let code): EndedChild(process: process, end: .exited(code: code))
      case .killed(let signal): EndedChild(process: process, end: .killed(signal: signal))
      }
    }
  }

  func startRuntime(dhcpSocket: CInt?) throws(SupervisorError) -> Int32 {
    defer { if let dhcpSocket { Descriptors.close(dhcpSocket) } }
    do throws(SystemCallError) {
      let (own, handed) = try PacketSocket.makePair()
      defer { Descriptors.close(handed) }
      let process = try ChildProcess.startSelf(
        arguments: runtimeArguments(), handed: [handed, dhcpSocket], keepsStandardError: Self.keepsStandardError)
      link = own
      return process
    } catch {
      throw SupervisorError(code: "runtime-not-started", reason: "the runtime could not be started", cause: error)
    }
  }

  #if HAECHI_RELEASE
    /// A release image has nowhere to write.
    private static let keepsStandardError = false
  #else
    /// For what the Swift library says when it ends a process.
    private static let keepsStandardError = true
  #endif

  func send(_ packet: [UInt8]) -> LinkSend {
    guard let link else { return .closed }
    return switch link.send(packet) {
    case .sent: .sent
    case .full: .full
    case .closed: .closed
    }
  }

  func receive() -> LinkReceive {
    guard let link else { return .closed }
    return switch link.receive(maximum: SupervisorPacket.maximumSize) {
    case .packet(let bytes): .packet(bytes)
    case .empty: .empty
    case .closed: .closed
    }
  }

  func closeLink() { link = nil }
  func kill(_ process: Int32) { ChildProcess.kill(process) }

  func startWorker(rights: WorkerRights, _ job: @escaping () -> [UInt8]) throws(SupervisorError) -> Int32 {
    do throws(SystemCallError) {
      let kept: Worker.Rights =
        switch rights {
        case .none: .none
        case .network: .network
        case .storage: .storage
        }
      let worker = try Worker(rights: kept, job)
      workers[worker.process] = worker
      return worker.process
    } catch {
      throw SupervisorError(code: "worker-not-started", reason: "a worker could not be started", cause: error)
    }
  }

  func takeWorkerResult(_ process: Int32) -> [UInt8] { workers.removeValue(forKey: process)?.takeResult() ?? [] }
}
