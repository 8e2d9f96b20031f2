internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// Signatures of the device's own key, where the root of trust keeps it: a worker makes each, and the runtime, which asks, never has the key. Whoever has
// taken over the runtime can ask as well, and is rid of that with it.

/// What a runtime wants signed.
struct SignatureRequest: Equatable {
  let request: UInt32
  let digest: [UInt8]
}

extension Supervisor {
  /// One signature at a time; those that wait are few, and what is asked for beyond is refused: knocking at the device costs its supervisor no more than that.
  ///
  /// `nil`: it is answered later.
  func sign(_ digest: [UInt8], request: UInt32, now_us: UInt64) -> RequestOutcome? {
    guard identityKey != nil else { return .refused }
    guard awaitingSignatures.count < limits.awaitingSignatures, signatureRate.take(now_us: now_us) else { return .busy }
    awaitingSignatures.append(SignatureRequest(request: request, digest: digest))
    startSignatureIfIdle()
    return nil
  }

  func startSignatureIfIdle() {
    guard let identityKey, !workers.values.contains(where: \.job.isSignature) else { return }
    let rootOfTrust = board.rootOfTrust
    while let next = awaitingSignatures.first {
      awaitingSignatures.removeFirst()
      let started = startWorker(.signature(request: next.request, start: startCount), deadline_us: limits.signature_us) {
        SignatureAnswer.bytes(of: { () throws(BoardError) in try rootOfTrust.sign(next.digest, with: identityKey.handle) })
      }
      if started { return }
      tell(.answer(request: next.request, .failed))
    }
  }

  func signatureMade(_ request: UInt32, of start: UInt32, _ bytes: [UInt8], _ child: EndedChild) {
    if let signature = SignatureAnswer.signature(bytes, child) {
      // A runtime that was started since has requests of its own with the same numbers.
      if start == startCount { tell(.signature(request: request, signature)) }
    } else {
      say(.error, "the device's own key did not sign: \(SignatureAnswer.fault(bytes, child))")
      answer(request, of: start, .failed)
    }
    startSignatureIfIdle()
  }
}

/// What a worker answers that signs: the byte 1 and the signature; or a fault, as `WorkerVerdict` writes it.
enum SignatureAnswer {
  static func bytes(of sign: () throws(BoardError) -> [UInt8]) -> [UInt8] {
    do throws(BoardError) {
      return [1] + (try sign())
    } catch {
      return WorkerVerdict.bytes(error.description)
    }
  }

  /// nil where there is none, or it has not a signature's length.
  static func signature(_ bytes: [UInt8], _ child: EndedChild) -> [UInt8]? {
    let signature = bytes.dropFirst()
    guard bytes.first == 1, child.end == .exited(code: 0), (1...SignedStatement.signatureMaximum_bytes).contains(signature.count) else { return nil }
    return Array(signature)
  }

  static func fault(_ bytes: [UInt8], _ child: EndedChild) -> String {
    WorkerVerdict.fault(bytes.first == 1 ? [] : bytes, child) ?? "its worker \(Supervisor.words(child.end)) without a signature"
  }
}

/// What a worker answers that has opened the storage: the packet of its report; and where there is a key of the device's own, the packet of its public half and
/// the handle.
enum StorageAnswer {
  static func bytes(_ facts: StorageFacts) -> [UInt8] {
    let report = SupervisorPacket.encode(.storage(StorageReport(facts)))
    guard let key = facts.identityKey else { return report }
    return report + SupervisorPacket.encode(.identityKey(key.publicKey)) + key.handle
  }

  /// Read as carefully as any packet; nil where it is not whole.
  static func read(_ bytes: [UInt8]) -> (StorageReport, IdentityKey?)? {
    let rest = Array(bytes.dropFirst(SupervisorPacket.size))
    guard case .storage(let report)? = try? SupervisorPacket.decodeSupervisorMessage(Array(bytes.prefix(SupervisorPacket.size))) else { return nil }
    guard !rest.isEmpty else { return (report, nil) }
    let handle = Array(rest.dropFirst(SupervisorPacket.size))
    guard case .identityKey(let publicKey)? = try? SupervisorPacket.decodeSupervisorMessage(Array(rest.prefix(SupervisorPacket.size))),
      !publicKey.isEmpty, (1...IdentityKey.handleMaximum_bytes).contains(handle.count)
    else { return nil }
    return (report, IdentityKey(publicKey: publicKey, handle: handle))
  }
}
