import Crypto
import Foundations
import TestDisk
import Testing
import Vault

/// Random transactions, the power cut at a random operation, again and again on one disk.
///
/// HAECHI_SEED=N repeats a run; HAECHI_VAULT_CUTS=N makes a long one (`make torture`).
@Suite struct PowerCutTests {
  @Test(arguments: [true, false]) func whatWasAcknowledgedIsThereAndNothingIsHalf(isCounted: Bool) async throws {
    let seed = environmentNumber("HAECHI_SEED") ?? UInt64.random(in: 0...UInt64.max)
    let cuts = Int(clamping: environmentNumber("HAECHI_VAULT_CUTS") ?? 300)
    print("power cuts: \(cuts), HAECHI_SEED=\(seed)")
    var run = try CutRun(seed: seed, isCounted: isCounted)
    for cut in 0..<cuts {
      // The tests share two threads on a small machine: those that wait for an answer get their turn.
      if cut % 10 == 0 { await Task.yield() }
      do {
        try run.untilCut()
        try run.reopen()
      } catch {
        Issue.record("HAECHI_SEED=\(seed), cut \(cut): \(error)")
        return
      }
    }
    print("power cuts: \(run.commits) transactions, \(run.wholeAfterCut) of those that a cut interrupted were there, \(run.lostByCut) were not")
    // The run was worth something: both ends of an interrupted transaction were seen.
    #expect(run.commits > cuts && run.wholeAfterCut > 0 && run.lostByCut > 0)
  }
}

/// What went wrong, in a sentence.
private struct Broken: Error, CustomStringConvertible {
  let description: String
}

private struct CutRun {
  var random: SeededRandom
  var world: World
  var vault: Vault?
  /// What was acknowledged.
  var known = Content()
  /// What there will be if the transaction that was under way is whole.
  var maybe: Content?
  var commits = 0
  var wholeAfterCut = 0
  var lostByCut = 0
  /// A vault was there once: from then on it must never be missing.
  var isMade = false

  init(seed: UInt64, isCounted: Bool) throws {
    random = SeededRandom(seed)
    world = try World(isCounted: isCounted)
  }

  private var isOff: Bool { world.disk.isOff }

  /// Goes on until the power is off.
  mutating func untilCut() throws {
    world.disk.cut(after: Int.random(in: 1...(Int.random(in: 0..<4, using: &random) == 0 ? 10 : 60), using: &random))
    while !isOff { try step() }
  }

  private mutating func step() throws {
    if vault == nil {
      do throws(VaultError) {
        vault = try world.open(mayCreate: !isMade)
        isMade = true
      } catch {
        guard isOff else { throw error }
        return
      }
    }
    guard let vault else { return }
    if vault.obstacle != nil {
      // Only the power takes away the right to write here.
      guard isOff else { throw Broken(description: "cannot be written: \(vault.obstacle ?? "")") }
      return
    }
    switch Int.random(in: 0..<40, using: &random) {
    case 0: try care { () throws(VaultError) in try vault.rewrite() }
    case 1...3: try care { () throws(VaultError) in _ = try vault.maintain() }
    case 4:
      try care { () throws(VaultError) in try vault.close() }
      self.vault = nil
    case 5:
      // Not closed, and opened again.
      self.vault = nil
      try check("opened again", [known])
    case 6: try changeKey()
    default: try commit(vault)
    }
  }

  private func care(_ body: () throws(VaultError) -> Void) throws {
    do throws(VaultError) { try body() } catch {
      guard isOff else { throw error }
    }
  }

  /// A new root key or cipher; the old key still opens.
  private mutating func changeKey() throws {
    guard let vault else { return }
    try care { () throws(VaultError) in try vault.close() }
    self.vault = nil
    if Bool.random(using: &random) {
      let fresh = SecretBytes(copying: (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) })
      world.keys = try VaultKeys(current: fresh, previous: [world.keys.current] + world.keys.previous)
      try care { () throws(VaultError) in
        let vault = try world.open()
        try vault.rewrite()
        try vault.close()
      }
      // A key is forgotten only when nothing can be under it any more.
      if !isOff { world.keys = try VaultKeys(current: fresh) }
    } else {
      world.configuration.algorithm = Bool.random(using: &random) ? .aes256GCM : .chaCha20Poly1305
    }
  }

  private mutating func commit(_ vault: Vault) throws {
    var next = known
    let plan = (0..<Int.random(in: 1...5, using: &random)).map { _ in Int.random(in: 0..<7, using: &random) }
    let texts = plan.map { _ in
      // Mostly so short that the vault is not full all the time; longer than a sector now and then.
      let count = Int.random(in: 0...(Int.random(in: 0..<4, using: &random) == 0 ? 900 : 120), using: &random)
      return String(repeating: "abcdefgh"[Int.random(in: 0..<8, using: &random)], count: count)
    }
    let keys = plan.map { _ in "peer-\(Int.random(in: 0..<10, using: &random))" }
    let isAnchored = Int.random(in: 0..<8, using: &random) == 0
    do throws(VaultError) {
      maybe = nil
      try vault.commit(isAnchored: isAnchored) { (transaction) throws(VaultError) in
        for (index, action) in plan.enumerated() {
          let text = texts[index]
          switch action {
          case 0:
            let settings = Settings(name: text, interval_s: index)
            try transaction.put(Kinds.settings, settings)
            next.settings = settings
          case 1, 2:
            try transaction.put(Kinds.peers, key: keys[index], text)
            next.peers[keys[index]] = text
          case 3:
            try transaction.remove(Kinds.peers, key: keys[index])
            next.peers[keys[index]] = nil
          case 4, 5:
            try transaction.append(Kinds.history, text)
            next.history = (next.history + [text]).suffix(20)
          default:
            try transaction.append(Kinds.notes, text)
            next.notes = (next.notes + [text]).suffix(5)
            next.lastNote += 1
          }
        }
        maybe = next
      }
      commits += 1
      known = next
      maybe = nil
    } catch {
      guard isOff else {
        guard ["vault-full", "value-too-large"].contains(error.code) else { throw error }
        maybe = nil
        return
      }
      return
    }
    try expectContent(of: vault)
  }

  /// A running vault shows what it acknowledged.
  private func expectContent(of vault: Vault) throws {
    let seen: Content
    do throws(VaultError) { seen = try Content(of: vault) } catch {
      guard isOff else { throw error }
      return
    }
    guard seen == known else { throw Broken(description: "it shows \(seen), acknowledged was \(known)") }
  }

  /// The power comes back, and the vault is opened; sometimes the power goes again meanwhile.
  mutating func reopen() throws {
    vault = nil
    // The process alone may have ended: what it wrote is seen by the next one, and can still be lost.
    if Int.random(in: 0..<4, using: &random) == 0 { world.disk.killProcess() } else { world.disk.powerOn(&random) }
    while isMade && Bool.random(using: &random) {
      world.disk.cut(after: Int.random(in: 1...10, using: &random))
      do throws(VaultError) { _ = try world.open() } catch {
        guard isOff else { throw error }
      }
      world.disk.powerOn(&random)
    }
    guard isMade else { return }
    try check("after a cut", [known] + (maybe.map { [$0] } ?? []))
    maybe = nil
  }

  private mutating func check(_ when: String, _ allowed: [Content]) throws {
    let opened: Vault
    let seen: Content
    do throws(VaultError) {
      opened = try world.open()
      seen = try Content(of: opened)
    } catch {
      guard isOff else { throw error }
      return
    }
    guard allowed.contains(seen) else {
      throw Broken(description: "\(when) it shows \(seen), allowed was \(allowed)")
    }
    // A medium that keeps its sectors leaves heads alone.
    guard opened.findings.allSatisfy({ $0.code == "tail-dropped" }) else { throw Broken(description: "\(when): \(opened.findings)") }
    if allowed.count == 2, allowed[0] != allowed[1] {
      if seen == allowed[1] { wholeAfterCut += 1 } else { lostByCut += 1 }
    }
    known = seen
    vault = opened
  }
}

extension String {
  fileprivate subscript(_ offset: Int) -> Character { self[index(startIndex, offsetBy: offset)] }
}
