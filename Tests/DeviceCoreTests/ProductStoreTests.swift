import Foundations
import LocalAPI
import NIOPosix
import Testing
import Vault

@testable import DeviceCore

/// What a product keeps over restarts.
@Suite struct ProductStoreTests {
  private struct Setting: Codable, Sendable, Equatable { var target_C: Double }
  private static let setting = RecordKind<Setting>("setting", purpose: "What the owner wants.")
  private static let history = LogKind<Double>("history", purpose: "What was measured.", life_s: 60, maximumEntries: 10)
  private static let kinds = [setting.declaration, history.declaration]

  private let folder = TestFolder()
  private let log = DeviceLog()

  /// Opens the store, runs `body`, ends in order.
  private func run<Value>(kinds: [VaultKind] = Self.kinds, _ body: (ProductStore) async throws -> Value) async throws -> Value {
    let threads = NIOThreadPool(numberOfThreads: 1)
    threads.start()
    let store = try await ProductStore.open(folder: folder.path, kinds: kinds, threads: threads, clock: WallClock(floor_s: 0), log: log)
    let value: Value
    do { value = try await body(store) } catch {
      try await threads.shutdownGracefully()
      throw error
    }
    await store.close(log)
    try await threads.shutdownGracefully()
    return value
  }

  private var logged: [String] { log.document(after: 0).records.map(\.text) }

  @Test func itIsThereAfterARestart() async throws {
    try await run { store in
      let none = try await store.get(Self.setting)
      #expect(none == nil)
      try await store.put(Self.setting, Setting(target_C: 21.5))
      try await store.append(Self.history, 20)
      try await store.commit { (transaction) throws(VaultError) in
        try transaction.append(Self.history, 21)
        try transaction.put(Self.setting, Setting(target_C: 19))
      }
    }
    try await run { store in
      let setting = try await store.get(Self.setting)
      let history = try await store.entries(Self.history)
      #expect(setting == Setting(target_C: 19) && history.map(\.value) == [20, 21])
    }
    #expect(folder.mode(of: "product.key") == 0o600 && folder.mode(of: "product.vault") == 0o600 && logged.isEmpty)
  }

  /// Damage is told, by the log and to the product, and the store refuses.
  @Test func damageIsToldAndNotOverwritten() async throws {
    try await run { store in try await store.put(Self.setting, Setting(target_C: 19)) }
    folder.write("not a vault", to: "product.vault")
    for _ in 0..<2 {
      try await run { store in
        do throws(VaultError) {
          _ = try await store.get(Self.setting)
          Issue.record("read")
        } catch { #expect(error.isDamage) }
      }
    }
    #expect(logged.count { $0.contains("product's data cannot be used") } == 2)
    #expect(folder.read("product.vault") == "not a vault")
    // A missing file is not an empty one.
    folder.remove("product.vault")
    try await run { store in
      do throws(VaultError) {
        try await store.put(Self.setting, Setting(target_C: 1))
        Issue.record("written")
      } catch { #expect(error.code == "vault-missing") }
    }
  }

  /// The first start was cut short before the key was there: nothing was stored yet, and the next start begins anew.
  @Test func aFirstStartThatWasCutShortIsDoneAgain() async throws {
    folder.write("what a first start left", to: "product.vault")
    folder.write("and of this", to: "product.vault.new")
    try await run { store in try await store.put(Self.setting, Setting(target_C: 19)) }
    let kept = try await run { store in try await store.get(Self.setting) }
    #expect(kept == Setting(target_C: 19))
  }

  @Test func aProductThatDeclaresNothingHasNothing() async throws {
    try await run(kinds: []) { store in
      do throws(VaultError) {
        try await store.put(Self.setting, Setting(target_C: 1))
        Issue.record("written")
      } catch { #expect(error.code == "kind-unknown") }
    }
    #expect(folder.read("product.key") == nil && folder.read("product.vault") == nil)
  }
}
