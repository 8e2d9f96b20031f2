import Crypto
import Foundations
import Glibc
import Vault

/// A vault's life, with each call to the system that it makes: made, written, rewritten, closed, opened again, refused to a second writer.
func vaultWorks(in folder: String) throws -> Bool {
  defer { unlink(folder + "/probe.vault") }
  let history = LogKind<Int>("history", purpose: "To try it.", maximumEntries: 10)
  let configuration = VaultConfiguration(name: "probe", kinds: [history.declaration])
  let keys = try VaultKeys(current: randomSecret(32))
  func open(mayCreate: Bool) throws(VaultError) -> Vault {
    try Vault(in: PosixVaultFolder(path: folder), configuration, keys: keys, mayCreate: mayCreate, now_s: { 0 })
  }
  let made = try open(mayCreate: true)
  for number in 1...3 { try made.append(history, number) }
  try made.rewrite()
  try made.append(history, 4)
  var isRefused = false
  do throws(VaultError) { _ = try open(mayCreate: false) } catch { isRefused = error.code == "vault-in-use" }
  try made.close()
  return try isRefused && open(mayCreate: false).entries(history).map(\.value) == [1, 2, 3, 4]
}
