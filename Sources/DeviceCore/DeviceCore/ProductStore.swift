import Crypto
import Foundations
import NIOConcurrencyHelpers
import NIOPosix
public import Vault

/// What a product keeps over restarts: its settings and its history, encrypted, until a wipe.
///
/// The product declares each kind in its `ProductDescription`, with what it is for and how long it lives, and gives and takes `Codable` values.
/// What a call changes is on the medium when it returns. Where the stored data is damaged every call throws what is wrong: the product decides what it
/// does without; the device goes on. Nothing here waits on an event loop.
public struct ProductStore: Sendable {
  private let vault: NIOLockedValueBox<Result<Vault, VaultError>>
  private let threads: NIOThreadPool?
  private let health: StorageHealth?
  /// Opens it once more, where the medium failed.
  private let reopen: @Sendable () -> Result<Vault, VaultError>

  private init(
    _ vault: Result<Vault, VaultError>, threads: NIOThreadPool?, health: StorageHealth?, reopen: @escaping @Sendable () -> Result<Vault, VaultError>
  ) {
    self.vault = NIOLockedValueBox(vault)
    self.threads = threads
    self.health = health
    self.reopen = reopen
  }

  /// A store that refuses everything: of a product that declares no kinds.
  static let none = ProductStore(nothing, threads: nil, health: nil) { nothing }
  private static let nothing = Result<Vault, VaultError>.failure(
    VaultError("kind-unknown", "this product declares nothing to keep: see ProductDescription.kinds"))

  /// Opens the product's vault in the runtime's folder, made on first use together with its key.
  ///
  /// - Parameters:
  ///   - threads: for what waits for the medium.
  ///   - health: hears of a medium that takes nothing.
  static func open(
    folder: String, kinds: [VaultKind], threads: NIOThreadPool, clock: WallClock, log: DeviceLog, health: StorageHealth? = nil
  ) async throws -> ProductStore {
    guard !kinds.isEmpty else { return .none }
    let open: @Sendable () -> Result<Vault, VaultError> = { openVault(folder: folder, kinds: kinds, clock: clock, log: log) }
    let vault = try await threads.runIfActive { open() }
    if case .failure(let error) = vault {
      log.append(.error, source: "vault", "the product's data cannot be used: \(error)")
      health?.failed(error)
    }
    return ProductStore(vault, threads: threads, health: health, reopen: open)
  }

  private static func openVault(folder: String, kinds: [VaultKind], clock: WallClock, log: DeviceLog) -> Result<Vault, VaultError> {
    let vault = openVault(folder: folder, kinds: kinds, clock: clock)
    if case .success(let vault) = vault { for finding in vault.findings { log.append(.warning, source: "vault", finding.sentence) } }
    return vault
  }

  private static func openVault(folder: String, kinds: [VaultKind], clock: WallClock) -> Result<Vault, VaultError> {
    let storage = PosixVaultFolder(path: folder)
    let configuration = VaultConfiguration(name: "product", kinds: kinds)
    let keyFile = folder + "/product.key"
    do throws(VaultError) {
      let stored: SecretBytes?
      do {
        stored = try AtomicFile.readSecret(keyFile, maximum_bytes: AEADKey.key_bytes)
      } catch {
        throw VaultError("storage-failed", "the key of the product's data cannot be read", cause: error)
      }
      if let stored {
        return .success(
          try Vault(in: storage, configuration, keys: VaultKeys(current: stored), mayCreate: false, now_s: { clock.now_s() }))
      }
      // The key is written last: where it is missing, nothing was ever stored under it, and what lies there was left by a start that was cut short.
      for name in ["product.vault", "product.vault.new"] { try? storage.remove(name) }
      do {
        let key = try randomSecret(AEADKey.key_bytes)
        let vault = try Vault(in: storage, configuration, keys: VaultKeys(current: key), mayCreate: true, now_s: { clock.now_s() })
        try AtomicFile.replace(keyFile, with: key)
        return .success(vault)
      } catch let error as VaultError {
        throw error
      } catch {
        throw VaultError("storage-failed", "the key of the product's data cannot be written", cause: error)
      }
    } catch {
      return .failure(error)
    }
  }

  /// Whether there is data that is not what was stored. A medium that takes nothing now is another matter.
  var isDamaged: Bool {
    guard case .failure(let error) = vault.withLockedValue({ $0 }) else { return false }
    return error.code != "kind-unknown" && StorageFault(error) == nil
  }

  /// Runs `body` where it may wait.
  private func run<Value: Sendable>(_ body: @escaping @Sendable (Vault) throws(VaultError) -> Value) async throws(VaultError) -> Value {
    let vault = try vault.withLockedValue { $0 }.get()
    guard let threads else { throw VaultError("vault-closed", "the runtime ends") }
    let result: Result<Value, VaultError>
    do {
      result = try await threads.runIfActive { Result { () throws(VaultError) in try body(vault) } }
    } catch {
      throw VaultError("vault-closed", "the runtime ends", cause: error)
    }
    if case .failure(let error) = result { health?.failed(error) }
    return try result.get()
  }

  /// A record's value, nil where there is none or it is past its life. Throws as `Vault.get`.
  public func get<Value>(_ kind: RecordKind<Value>, key: String? = nil) async throws(VaultError) -> Value? {
    try await run { (vault) throws(VaultError) in try vault.get(kind, key: key) }
  }

  /// The keys of a kind that have a value, sorted.
  public func keys<Value>(_ kind: RecordKind<Value>) async throws(VaultError) -> [String] {
    try await run { (vault) throws(VaultError) in try vault.keys(kind) }
  }

  /// The entries of a log after number `after`, oldest first, at most `limit`.
  public func entries<Entry>(_ kind: LogKind<Entry>, after: UInt64 = 0, limit: Int = 1_000) async throws(VaultError) -> [VaultEntry<Entry>] {
    try await run { (vault) throws(VaultError) in try vault.entries(kind, after: after, limit: limit) }
  }

  /// Replaces a record's value.
  public func put<Value>(_ kind: RecordKind<Value>, key: String? = nil, _ value: Value) async throws(VaultError) {
    try await run { (vault) throws(VaultError) in try vault.put(kind, key: key, value) }
  }

  /// Adds an entry to a log.
  public func append<Entry>(_ kind: LogKind<Entry>, _ value: Entry) async throws(VaultError) {
    try await run { (vault) throws(VaultError) in try vault.append(kind, value) }
  }

  /// Several changes, all of them or none.
  public func commit(_ body: @escaping @Sendable (inout VaultTransaction) throws(VaultError) -> Void) async throws(VaultError) {
    try await run { (vault) throws(VaultError) in try vault.commit(body) }
  }

  /// Each minute: what is past its life goes. Runs until it is cancelled.
  func keepHouse(_ log: DeviceLog) async {
    guard threads != nil else { return }
    var told: String?
    while !Task.isCancelled {
      await openAgain(log)
      do throws(VaultError) {
        while try await run({ (vault) throws(VaultError) in try vault.maintain() }) {}
        told = nil
      } catch {
        // Once for each fault, not each minute.
        if told != error.code, case .success = vault.withLockedValue({ $0 }) {
          log.append(.warning, source: "vault", "the product's data could not be looked after: \(error)")
        }
        told = error.code
      }
      try? await Task.sleep(for: .seconds(60))
    }
  }

  /// What a medium that failed left, opened anew once the medium takes something again: a vault does not write on by itself after such a failure.
  private func openAgain(_ log: DeviceLog) async {
    guard let threads, health?.current == nil else { return }
    let former = vault.withLockedValue { $0 }
    switch former {
    case .failure(let error): guard StorageFault(error) != nil else { return }
    case .success(let vault): guard vault.obstacle != nil else { return }
    }
    let reopened = try? await threads.runIfActive {
      // Closing writes nothing where there is an obstacle, and lets go of the file.
      if case .success(let vault) = former { try? vault.close() }
      return reopen()
    }
    guard let reopened else { return }
    vault.withLockedValue { $0 = reopened }
    if case .success(let vault) = reopened, vault.obstacle == nil { log.append(.notice, source: "vault", "the product's data can be written again") }
  }

  /// At an orderly end.
  func close(_ log: DeviceLog) async {
    guard case .success = vault.withLockedValue({ $0 }) else { return }
    do throws(VaultError) {
      try await run { (vault) throws(VaultError) in try vault.close() }
    } catch {
      log.append(.warning, source: "vault", "the product's data was not closed: \(error)")
    }
  }
}
