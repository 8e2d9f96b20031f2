import Crypto
import LocalAPI
import NIOPosix
import SupervisorLink

// What the device asks of the supervisor for its identity: to keep its files, and to sign with a key that the runtime has not.
extension Runtime {
  /// The supervisor makes durable what the identity folder holds; where nothing outlives the boot, it says so at once.
  func surroundings(_ supervisor: SupervisorClient, _ facts: DeviceHub.Facts) throws(RuntimeError) -> Device.Surroundings {
    let storage = facts.storage
    var surroundings = Device.Surroundings(commitIdentity: { () async throws(Problem) in
      let outcome: RequestOutcome
      do throws(SupervisorError) {
        outcome = try await supervisor.request(deadline_ms: SupervisorClient.commitDeadline_ms) { .commitIdentity(request: $0) }
      } catch {
        throw .unavailable("The identity could not be kept: \(error.reason).")
      }
      guard outcome == .done else { throw .unavailable("The identity could not be kept: \(outcome); the log tells why.") }
    })
    surroundings.isStorageLost = storage.damage != nil
    if storage.state == .open {
      surroundings.identityEpoch = storage.identityEpoch
      surroundings.rootOfTrust = storage.rootOfTrust.word
    }
    guard let publicKey = facts.identityKey else { return surroundings }
    do throws(CryptoError) {
      surroundings.identityKey = try PrivateKey(outside: try PublicKey(der: publicKey)) { (digest) throws(CryptoError) in
        do throws(SupervisorError) {
          return try supervisor.sign(digest)
        } catch {
          throw CryptoError(code: error.code, reason: error.reason)
        }
      }
    } catch {
      throw RuntimeError(code: "identity-key-unusable", reason: "the key that the root of trust keeps for this device cannot be used", cause: error)
    }
    keyThreads.start()
    surroundings.keyThread = KeyThread(keyThreads)
    return surroundings
  }
}
