import Foundations

@testable import OperatorKit

/// The passphrase of every owner of these tests, unless a test is about passphrases.
struct FixedPassphrase: PassphraseSource {
  var words = "correct horse battery staple"
  func passphrase(_ purpose: PassphrasePurpose) throws(OperatorError) -> Passphrase {
    try Passphrase(SecretBytes(copying: Array(words.utf8)), isNew: false, from: "the test")
  }
}

/// A new owner under that passphrase.
func makeOwner(_ folder: String, now_s: Int64 = secondsNow()) throws -> UnlockedOwner {
  try OwnerFolder.make(folder, passphrase: try FixedPassphrase().passphrase(.choose(folder)), now_s: now_s)
}
