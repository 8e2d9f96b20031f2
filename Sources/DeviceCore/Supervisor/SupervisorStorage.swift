internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// Disks and TPMs block and their libraries are large, so workers call them. The first one is waited for: before it is known what outlived the
// last boot, a runtime would take an owned device for a blank one.

extension Supervisor {
  /// Opens the storage, on the first boot makes it. Waits, with a deadline; boot has nothing else to do.
  func openStorage() -> Phase.Result {
    let storage = board.storage
    do throws(SupervisorError) {
      return storageAnswered(try awaitStorageWorker { StorageAnswer.bytes(storage.open()) })
    } catch {
      return storageFailed(error.reason)
    }
  }

  func announceFirmware() -> Phase.Result {
    let storage = board.storage
    do throws(SupervisorError) {
      let answer = try awaitWorker(rights: .storage, within: limits.worker_us) {
        do throws(BoardError) {
          try storage.announceFirmware()
          return WorkerVerdict.bytes(nil)
        } catch {
          return error.isSkip ? [2] + Array(error.reason.utf8) : WorkerVerdict.bytes(error.description)
        }
      }
      if answer.bytes.first == 2 { return .skipped(String(decoding: answer.bytes.dropFirst(), as: UTF8.self)) }
      guard let fault = WorkerVerdict.fault(answer.bytes, answer.child) else { return .done }
      return .failed(fault)
    } catch {
      return .failed(error.reason)
    }
  }

  /// As `awaitWorker`, with the rights over disks.
  func awaitStorageWorker(_ work: @escaping () -> [UInt8]) throws(SupervisorError) -> (bytes: [UInt8], child: EndedChild) {
    try awaitWorker(rights: .storage, within: limits.storage_us, work)
  }

  /// Has a worker do `work` and waits for what it says, with a deadline; the watchdog is fed meanwhile, and the ends of others are taken.
  func awaitWorker(
    rights: WorkerRights, within limit_us: UInt64, _ work: @escaping () -> [UInt8]
  ) throws(SupervisorError) -> (bytes: [UInt8], child: EndedChild) {
    let process = try host.startWorker(rights: rights, work)
    let began_us = host.now_us()
    while elapsed_us(since: began_us, now: host.now_us()) < limit_us {
      for child in host.takeEnded() {
        guard child.process == process else {
          ended(child)
          continue
        }
        return (host.takeWorkerResult(process), child)
      }
      host.wait(for: [], toSend: false, timeout_ms: 20)
      feedWatchdog()
    }
    host.kill(process)
    _ = host.takeWorkerResult(process)
    throw SupervisorError(code: "no-answer", reason: "its worker gave no answer within \(limit_us / 1_000_000) s")
  }

  private func storageAnswered(_ answer: (bytes: [UInt8], child: EndedChild)) -> Phase.Result {
    let (bytes, child) = answer
    guard child.end == .exited(code: 0), let (report, key) = StorageAnswer.read(bytes) else {
      return storageFailed("its worker \(Self.words(child.end)) without an answer")
    }
    storageReport = report
    identityKey = key
    switch report.state {
    case .open:
      noteRecoveryChange()
      return .done
    case .volatile: return .skipped(report.reason)
    case .damaged, .locked: return .failed(report.reason)
    }
  }

  /// What is on the disk is not known: a runtime must not start as if there were nothing.
  private func storageFailed(_ why: String) -> Phase.Result {
    storageReport = StorageReport(state: .damaged, reason: "the storage could not be opened: \(why)")
    return .failed(why)
  }

  /// Keeps the files of the identity folder; nil where the answer comes later. One worker at a time: what is asked for meanwhile waits for the next
  /// one, which sees all files as they are by then.
  func commitIdentity(_ request: UInt32) -> RequestOutcome? {
    switch storageReport.state {
    // Nothing outlives this boot, and the status says so.
    case .volatile: return .done
    case .damaged, .locked: return .failed
    case .open: break
    }
    guard awaitingCommit.count < limits.awaitingCommit else { return .busy }
    awaitingCommit.append(request)
    startStorageJobIfIdle()
    return nil
  }

  /// One worker at a time writes there.
  func startStorageJobIfIdle() {
    guard !workers.values.contains(where: \.job.isStorage) else { return }
    if let order = awaitingWipe {
      awaitingWipe = nil
      startRecord(of: order)
    } else if let order = recovery.awaiting {
      recovery.awaiting = nil
      startRecovery(order)
    } else if !awaitingCommit.isEmpty {
      startCommit()
    }
  }

  private func startCommit() {
    let requests = awaitingCommit
    awaitingCommit = []
    let storage = board.storage
    let started = startWorker(.identity(requests: requests, start: startCount), deadline_us: limits.commit_us, rights: .storage) {
      KeptAnswer.bytes(of: { () throws(BoardError) in try storage.commitIdentity() })
    }
    if !started { for request in requests { tell(.answer(request: request, .failed)) } }
  }

  func identityCommitted(_ requests: [UInt32], of start: UInt32, _ bytes: [UInt8], _ child: EndedChild) {
    let fault = keptFault(bytes, child)
    if let fault { say(.error, "the identity was not kept: \(fault)") }
    for request in requests { answer(request, of: start, fault == nil ? .done : .failed) }
    startStorageJobIfIdle()
  }

  /// Why the runtime's files were not kept; nil where they were. Files that are none of its own are said and noted once: whoever writes them can do so for ever.
  func keptFault(_ bytes: [UInt8], _ child: EndedChild) -> String? {
    guard child.end == .exited(code: 0), let undeclared = KeptAnswer.read(bytes) else {
      return WorkerVerdict.fault(bytes, child) ?? "its worker answered something else"
    }
    guard undeclared.count > 0, !toldUndeclared else { return nil }
    toldUndeclared = true
    say(.error, "the runtime's identity folder has \(undeclared.count) files that are not declared and are not kept, one of them \(undeclared.example)")
    note(AuditEvent(.undeclaredFiles, .number(UInt64(undeclared.count))))
    return nil
  }
}

/// What a worker says that kept the runtime's files: 1, how many others lay beside them (2 bytes), and the name of one.
enum KeptAnswer {
  private static let nameMaximum_bytes = 64

  /// Of a call to the board; what failed is as `WorkerVerdict` says it.
  static func bytes(of call: () throws(BoardError) -> UndeclaredFiles) -> [UInt8] {
    do throws(BoardError) {
      let undeclared = try call()
      let count = UInt16(clamping: undeclared.count)
      return [1, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + Array(undeclared.example.utf8.prefix(nameMaximum_bytes))
    } catch {
      return WorkerVerdict.bytes(error.description)
    }
  }

  /// nil where it is no such answer.
  static func read(_ bytes: [UInt8]) -> UndeclaredFiles? {
    guard (3...3 + nameMaximum_bytes).contains(bytes.count), bytes[0] == 1 else { return nil }
    return UndeclaredFiles(count: Int(bytes[1]) << 8 | Int(bytes[2]), example: String(decoding: bytes.dropFirst(3), as: UTF8.self))
  }
}

extension StorageReport {
  init(_ facts: StorageFacts) {
    self.init(
      state: State(rawValue: facts.state.rawValue) ?? .damaged, cipher: facts.cipher,
      rootOfTrust: RootOfTrustReport.Kind(rawValue: facts.rootOfTrust.rawValue) ?? .none, identityEpoch: facts.identityEpoch,
      reason: facts.reason,
      recoveryKey: facts.recoveryKey.map { RecoveryKeyReport(fingerprint: $0.fingerprint, ordered_s: $0.ordered_s) },
      recoveryChange: RecoveryChange(rawValue: facts.recoveryChange.rawValue) ?? .none)
  }
}
