import Crypto
import Foundations
import NIOPosix
public import Vault

/// What a product keeps over restarts: its settings and its history, encrypted, until a wipe.
///
/// The product declares each kind in its `ProductDescription`, with what it is for and how long it lives, and gives and takes `Codable` values.
/// What a call changes is on the medium when it returns. Where the stored data is damaged every call throws what is wrong: the product decides what it
/// does without; the device goes on. Nothing here waits on an event loop.
public struct ProductStore: Sendable {
  private let vault: Result<Vault, VaultError>
  private let threads: NIOThreadPool?

  /// A store that refuses everything: of a product that declares no kinds.
  static let none = ProductStore(
    vault: .failure(VaultError("kind-unknown", "this product declares nothing to keep: see ProductDescription.kinds")), threads: nil)

  /// Opens the product's vault in the runtime's folder, made on first use together with its key.
  ///
  /// - Parameter threads: for what waits for the medium.
  static func open(
    folder: String, kinds: [VaultKind], threads: NIOThreadPool, clock: WallClock, log: DeviceLog
  ) async throws -> ProductStore {
    guard !kinds.isEmpty else { return .none }
    let vault = try await threads.runIfActive { openVault(folder: folder, kinds: kinds, clock: clock) }
    switch vault {
    case .success(let vault): for finding in vault.findings { log.append(.warning, source: "vault", finding.sentence) }
    case .failure(let error): log.append(.error, source: "vault", "the product's data cannot be used: \(error)")
    }
    return ProductStore(vault: vault, threads: threads)
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

  /// Whether there is data that cannot be used.
  var isDamaged: Bool { if case .failure(let error) = vault { error.code != "kind-unknown" } else { false } }

  /// Runs `body` where it may wait.
  private func run<Value: Sendable>(_ body: @escaping @Sendable (Vault) throws(VaultError) -> Value) async throws(VaultError) -> Value {
    let vault = try vault.get()
    guard let threads else { throw VaultError("vault-closed", "the runtime ends") }
    let result: Result<Value, VaultError>
    do {
      result = try await threads.runIfActive { Result { () throws(VaultError) in try body(vault) } }
    } catch {
      throw VaultError("vault-closed", "the runtime ends", cause: error)
    }
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
    guard case .success = vault else { return }
    var told: String?
    while !Task.isCancelled {
      do throws(VaultError) {
        while try await run({ (vault) throws(VaultError) in try vault.maintain() }) {}
        told = nil
      } catch {
        // Once for each fault, not each minute.
        if told != error.code { log.append(.warning, source: "vault", "the product's data could not be looked after: \(error)") }
        told = error.code
      }
      try? await Task.sleep(for: .seconds(60))
    }
  }

  /// At an orderly end.
  func close(_ log: DeviceLog) async {
    guard case .success = vault else { return }
    do throws(VaultError) {
      try await run { (vault) throws(VaultError) in try vault.close() }
    } catch {
      log.append(.warning, source: "vault", "the product's data was not closed: \(error)")
    }
  }
}
