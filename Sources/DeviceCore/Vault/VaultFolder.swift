public import Foundations

/// Small files in a vault in place of files in a folder: read and replaced as a whole, several at once where they belong together.
public struct VaultFolder: Sendable {
  private let vault: Vault
  private let kind: VaultKind

  /// What a vault has to declare, to hold such a folder.
  ///
  /// - Parameters:
  ///   - name: 1 to 63 letters, digits, `-` and `_`.
  ///   - purpose: one sentence for the owner.
  ///   - maximumFiles: at a time.
  public static func kind(_ name: String, purpose: String, maximumFiles: Int) -> VaultKind {
    VaultKind(name: name, form: .records, purpose: purpose, life_s: nil, maximumCount: maximumFiles)
  }

  /// - Parameter kind: one that `vault` was opened with.
  public init(_ vault: Vault, kind: VaultKind) {
    self.vault = vault
    self.kind = kind
  }

  /// The content of a file, nil where there is none. Throws as `Vault.get`.
  public func read(_ name: String) throws(VaultError) -> SecretBytes? { try vault.get(kind, key: name) }

  /// The names of its files, sorted.
  public func names() throws(VaultError) -> [String] { try vault.keys(kind) }

  /// Replaces or (nil) removes these files, all of them or none.
  ///
  /// - Parameter isAnchored: as for `Vault.commit`.
  public func write(_ files: [String: SecretBytes?], isAnchored: Bool = false) throws(VaultError) {
    try vault.commit(isAnchored: isAnchored) { (transaction) throws(VaultError) in
      for (name, content) in files.sorted(by: { $0.key < $1.key }) {
        if let content {
          try transaction.put(kind, key: name, bytes: content)
        } else {
          try transaction.remove(kind, key: name)
        }
      }
    }
  }
}
