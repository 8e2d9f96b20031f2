import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// The store of what survives a wipe. Many bytes in a debug build: too slow for an emulated machine, and nothing in it needs one.
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct IdentStoreTests {
  let folder = StorageFolder()
  let root = FakeRoot()

  private func open() throws -> IdentStore { try IdentStore.open(folder.partition(), root: root) }
  private func content(_ text: String) -> IdentContent {
    var content = IdentContent()
    content.files = [IdentFile(name: "device.key", content: Array(text.utf8))]
    return content
  }
  /// The code that opening throws.
  private func refusal() -> String? {
    do {
      _ = try open()
      return nil
    } catch {
      return (error as? BoardError)?.code
    }
  }
  private func image() throws -> [UInt8] { try folder.partition().read(at: 0, count: 4 << 20) }
  private func restore(_ bytes: [UInt8]) throws { try folder.partition().write(bytes, at: 0) }

  @Test func theFirstBootMakesAnEmptyStoreAndLaterOnesFindWhatWasKept() throws {
    #expect(try open().content == IdentContent())
    #expect(try open().content == IdentContent())
    for text in ["one", "two", "three"] {
      try open().commit(content(text))
      #expect(try open().content == content(text))
    }
    // The text is nowhere in the clear.
    let bytes = try image()
    #expect(bytes.firstRange(of: Array("device.key".utf8)) == nil)
    #expect(bytes.firstRange(of: Array("three".utf8)) == nil)
  }

  @Test func aCutAnywhereInTheFirstBootIsMadeGoodByTheNext() throws {
    for steps in 0..<3 {
      let folder = StorageFolder()
      let root = FakeRoot()
      root.left = steps
      #expect(throws: BoardError.self) { _ = try IdentStore.open(try folder.partition(), root: root) }
      root.left = .max
      #expect(try IdentStore.open(try folder.partition(), root: root).content == IdentContent())
    }
  }

  @Test func aCutBetweenRecordAndCountLosesNothing() throws {
    let store = try open()
    try store.commit(content("before"))
    root.left = 0
    #expect(throws: BoardError.self) { try store.commit(content("after")) }
    root.left = .max
    #expect(try open().content == content("after"))
    // Made good: the next one goes on from there.
    try open().commit(content("later"))
    #expect(try open().content == content("later"))
  }

  /// One that is there and not counted may be there only until the power goes.
  @Test func aRecordIsWrittenOnceMoreBeforeItIsCounted() throws {
    try open().commit(content("before"))
    let counted = root.counters[.identGeneration]
    root.left = 0
    #expect(throws: BoardError.self) { try open().commit(content("after")) }
    let uncounted = try image()
    #expect(throws: BoardError.self) { _ = try open() }
    #expect(try image() != uncounted && root.counters[.identGeneration] == counted)
    root.left = .max
    #expect(try open().content == content("after"))
  }

  @Test func aRecordThatIsTornLeavesTheOneBefore() throws {
    try open().commit(content("before"))
    let before = try image()
    root.left = 0
    #expect(throws: BoardError.self) { try open().commit(content("after")) }
    root.left = .max
    // Half of the new record reached the disk.
    let after = try image()
    let changed = after.indices.filter { after[$0] != before[$0] }
    let middle = try #require(changed.dropFirst(changed.count / 2).first)
    try restore(Array(after.prefix(middle) + before.dropFirst(middle)))
    #expect(try open().content == content("before"))
  }

  /// The code that opening throws in a firmware of this security epoch.
  private func refusal(epoch: UInt8) -> String? {
    root.epoch = epoch
    return refusal()
  }

  @Test(arguments: [0, 1, Int.max]) func aKeyThatIsSealedAnewOpensForNoOlderFirmwareWhereverThePowerGoes(steps: Int) throws {
    try open().commit(content("kept"))
    let before = try image()
    #expect(try open().isOutdated == false)
    root.epoch = 2
    let store = try open()
    #expect(store.isOutdated && store.content == content("kept"))
    root.left = steps
    let isCut = (try? store.sealAnew()) == nil
    #expect(isCut == (steps < 2))
    root.left = .max
    // As long as it was not done the older one goes on too; the newer one does it once more.
    #expect(refusal(epoch: 1) == (isCut ? nil : BoardError.lockedCode))
    #expect(refusal(epoch: 2) == nil)
    if isCut { try open().sealAnew() }
    #expect(try open().isOutdated == false)
    #expect(try open().content == content("kept"))
    #expect(refusal(epoch: 1) == BoardError.lockedCode)
    #expect(refusal(epoch: 3) == nil)
    // Twice, so that both places were used.
    try open().sealAnew()
    #expect(refusal(epoch: 2) == BoardError.lockedCode && refusal(epoch: 3) == nil)
    #expect(try open().content == content("kept"))
    // A copy of the older key opens nothing.
    try folder.partition().write(Array(before[0..<4_096]), at: 0)
    try folder.partition().write([UInt8](repeating: 0, count: 4_096), at: 8_192)
    #expect(refusal(epoch: 1) == BoardError.lockedCode && refusal(epoch: 3) == BoardError.lockedCode)
  }

  /// The power went between the counter's rise and the erasure of the older key, or while the newer one was written.
  @Test func whatIsLeftOfTheOtherKeyIsNotTakenForIt() throws {
    try open().commit(content("kept"))
    let before = Array(try image()[0..<4_096])
    root.epoch = 2
    try open().sealAnew()
    let after = Array(try image()[8_192..<12_288])
    let partition = try folder.partition()
    for other in [before, before.map { $0 ^ 1 }, Array(after.prefix(2_048) + before.suffix(2_048))] {
      try partition.write(other, at: 0)
      #expect(try open().content == content("kept"))
      #expect(try partition.read(at: 0, count: 4_096).allSatisfy { $0 == 0 })
    }
  }

  /// The record with the passphrase is erased once it was done, also where the power went in between.
  @Test func aPassphraseIsForgottenOnceItWasUsed() throws {
    let facts = RecoveryKeyFacts(fingerprint: [1, 2, 3, 4, 5, 6, 7, 8], ordered_s: 1_700_000_000)
    var wanted = content("one")
    wanted.wish = .set(passphrase: Array("a passphrase".utf8), facts)
    try open().commit(wanted)
    #expect(try open().content == wanted)
    let before = try image()
    var done = content("one")
    done.recovery = RecoverySlot(number: 1, key: facts)
    try open().commit(done)
    #expect(try open().content == done)
    let places = [1 << 20, 2 << 20]
    func records(_ image: [UInt8]) -> Int { places.filter { image[$0] != 0 }.count }
    #expect(try records(before) == 2 && records(image()) == 1)
    // As a cut before it was erased leaves it: the next look does it.
    let after = try image()
    let erased = try #require(places.first { after[$0] == 0 })
    try folder.partition().write(Array(before[erased..<erased + 65_536]), at: UInt64(erased))
    #expect(try records(image()) == 2)
    #expect(try open().content == done)
    #expect(try records(image()) == 1)
    // What keeps the wish keeps its record, and an ordinary one is not erased.
    try open().commit(content("two"))
    try open().commit(content("three"))
    #expect(try records(image()) == 2)
  }

  @Test func aContentHasOneForm() throws {
    let facts = RecoveryKeyFacts(fingerprint: [1, 2, 3, 4, 5, 6, 7, 8], ordered_s: -1)
    var contents = [content("one")]
    contents[0].dataEpoch = 3
    for recovery in [nil, RecoverySlot(number: 0, key: facts), RecoverySlot(number: 1, key: facts)] {
      for wish in [nil, RecoveryWish.remove, .set(passphrase: [7], facts), .set(passphrase: [UInt8](repeating: 9, count: 128), facts)] {
        var next = contents[0]
        (next.recovery, next.wish) = (recovery, wish)
        contents.append(next)
      }
    }
    for content in contents {
      let bytes = content.encoded()
      #expect(IdentContent(decoding: bytes) == content)
      #expect(IdentContent(decoding: bytes + [0]) == nil)
      for count in 0..<bytes.count {
        guard let shorter = IdentContent(decoding: Array(bytes.prefix(count))) else { continue }
        // Only what firmware wrote that knew no recovery key is a part of another.
        #expect(shorter == contents[0] && content != contents[0])
      }
      if let allowed = content.recovery, content.wish == nil { #expect(content.allowedSlots == [allowed.number]) }
    }
    #expect(contents[0].allowedSlots == [])
    // Nothing said twice over: a part that says that there is nothing, a slot that there is not, a passphrase of no byte or too many.
    let bare = contents[0].encoded()
    for rest in [[0, 0], [1, 2] + [UInt8](repeating: 0, count: 16) + [0], [2], [0, 3], [0, 1] + [UInt8](repeating: 0, count: 17)] {
      #expect(IdentContent(decoding: bare + rest) == nil)
    }
  }

  @Test func anOlderCopyIsDamageAndNeverBlank() throws {
    let blank = try image()
    try open().commit(content("one"))
    let old = try image()
    try open().commit(content("two"))
    try open().commit(content("three"))
    try restore(old)
    #expect(refusal() == "storage-damaged")
    try restore(blank)
    #expect(refusal() == "storage-damaged")
  }

  @Test func aStoreThatIsLostIsMadeAnewAndNothingOfBeforeOpens() throws {
    try open().commit(content("before"))
    let old = try image()
    let epoch = try #require(root.counters[.identityEpoch])
    try restore([UInt8](repeating: 0x5a, count: 4_096))
    #expect(refusal() == "storage-damaged")
    try IdentStore.remake(folder.partition(), root: root)
    #expect(try open().content == IdentContent())
    #expect(try #require(root.counters[.identityEpoch]) > epoch)
    try open().commit(content("new"))
    #expect(try open().content == content("new"))
    // The whole partition of before, and each of its records under the new key.
    let new = try image()
    try restore(old)
    #expect(refusal() == "storage-damaged")
    try restore(Array(new.prefix(1 << 20) + old.dropFirst(1 << 20)))
    #expect(refusal() == "storage-damaged")
  }

  @Test func aCutAnywhereInMakingItAnewIsDamageOrAnEmptyStore() throws {
    for isKnown in [true, false] {
      for steps in 0..<3 {
        let folder = StorageFolder()
        let root = FakeRoot()
        try IdentStore.open(try folder.partition(), root: root).commit(content("before"))
        if !isKnown {
          // Another root of trust, which knows no device.
          root.identity = 2
          root.counters = [:]
        }
        root.left = steps
        #expect(throws: BoardError.self) { try IdentStore.remake(try folder.partition(), root: root) }
        root.left = .max
        do throws(BoardError) {
          #expect(try IdentStore.open(partition(folder), root: root).content == IdentContent(), "known \(isKnown), \(steps) steps")
        } catch { #expect(error.code == "storage-damaged", "known \(isKnown), \(steps) steps") }
        try IdentStore.remake(try folder.partition(), root: root)
        #expect(try IdentStore.open(try folder.partition(), root: root).content == IdentContent())
      }
    }
  }
  private func partition(_ folder: StorageFolder) throws(BoardError) -> BlockPartition { try BlockPartition(name: "ident", path: folder.path + "/ident") }

  @Test func anotherRootOfTrustDoesNotOpenIt() throws {
    try open().commit(content("one"))
    root.identity = 2
    #expect(refusal() == BoardError.lockedCode)
    // One that knows nothing of this disk does not overwrite it either.
    root.counters = [:]
    #expect(refusal() == BoardError.lockedCode)
    root.kind = .development
    #expect(refusal() == BoardError.lockedCode)
  }

  @Test func everyChangedByteIsSeen() throws {
    try open().commit(content("one"))
    try open().commit(content("two"))
    let whole = try image()
    // The newest record, the key area, and what lies around them.
    var places = Array(0..<64)
    places += [4_063, 4_064, 4_095]
    for start in [1 << 20, 2 << 20] { places += Array(start..<start + 160) }
    for place in places {
      var bytes = whole
      bytes[place] ^= 0x40
      try restore(bytes)
      do {
        #expect(try open().content == content("two"), "byte \(place)")
      } catch let error as BoardError {
        #expect(["storage-damaged", BoardError.lockedCode].contains(error.code), "byte \(place): \(error)")
      }
    }
    try restore(whole)
    #expect(try open().content == content("two"))
  }

  @Test func moreThanItHoldsIsRefusedAndTheOldStays() throws {
    let store = try open()
    try store.commit(content("one"))
    var large = IdentContent()
    large.files = [IdentFile(name: "large", content: [UInt8](repeating: 1, count: IdentContent.filesMaximum_bytes + 1))]
    #expect(throws: BoardError.self) { try store.commit(large) }
    large.files = [IdentFile(name: "large", content: [UInt8](repeating: 1, count: IdentContent.filesMaximum_bytes))]
    try store.commit(large)
    #expect(try open().content == large)
    #expect(throws: BoardError.self) { _ = try IdentStore.open(try folder.partition("small", size_bytes: 1 << 20), root: root) }
  }
}

/// What lies on the disk is read without trust.
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct StorageFormatTests {
  private static func content() -> IdentContent {
    var content = IdentContent()
    content.dataEpoch = 7
    content.files = [IdentFile(name: "a", content: [1, 2, 3]), IdentFile(name: "b", content: [])]
    return content
  }

  /// A record without a key of the root of trust's is as those of firmware that knew none.
  @Test func theIdentityKeyFollowsTheFiles() {
    var content = Self.content()
    let before = content.encoded()
    content.identityKey = IdentityKey(publicKey: [0x30, 0x59], handle: [1, 2, 3])
    #expect(content.encoded() == before + [1, 0, 2, 0x30, 0x59, 0, 3, 1, 2, 3])
    #expect(IdentContent(decoding: content.encoded()) == content)
    content.identityKey = IdentityKey(
      publicKey: [UInt8](repeating: 1, count: IdentityKey.publicKeyMaximum_bytes), handle: [UInt8](repeating: 2, count: IdentityKey.handleMaximum_bytes))
    #expect(IdentContent(decoding: content.encoded()) == content)
    for tail in [[2, 0, 1, 1, 0, 1, 1], [1], [1, 0, 0, 0, 1, 1], [1, 0, 1, 1, 0, 0], [1, 0, 1, 1, 0, 1, 1, 0], [1, 0, 200, 1]] as [[UInt8]] {
      #expect(IdentContent(decoding: before + tail) == nil)
    }
  }

  @Test(arguments: [1, 2, 3] as [UInt64], [false, true]) func anyBytesAreReadOrRefused(seed: UInt64, hasKey: Bool) {
    var generator = SeededGenerator(state: seed)
    var content = Self.content()
    if hasKey { content.identityKey = IdentityKey(publicKey: [0x30, 0x59], handle: [1, 2, 3]) }
    let whole = content.encoded()
    #expect(IdentContent(decoding: whole) == content)
    for _ in 0..<5_000 {
      var bytes =
        Bool.random(using: &generator) ? whole : (0..<Int.random(in: 0...64, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      if !bytes.isEmpty { bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator) }
      bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
      // What is accepted has one form.
      if let read = IdentContent(decoding: bytes) { #expect(read.encoded() == bytes) }
      _ = VolumeTemplate(decoding: Array("HAECHIFS".utf8) + bytes)
      _ = LUKSToken.blob(in: String(decoding: bytes, as: UTF8.self))
      _ = IdentRecord(header: bytes, sealed: bytes, key: SecretBytes(copying: [UInt8](repeating: 0, count: 32)))
    }
  }

  @Test func tokens() {
    #expect(LUKSToken.blob(in: LUKSToken.json([0, 1, 0xab])) == [0, 1, 0xab])
    #expect(LUKSToken.blob(in: #"{ "type": "haechi-sealed-key", "keyslots": [ ], "blob": "00ff" }"#) == [0, 0xff])
    for text in [
      "", "{}", #"{"type":"other","blob":"00"}"#, #"{"type":"haechi-sealed-key","blob":"0"}"#, #"{"type":"haechi-sealed-key","blob":""}"#,
      #"{"type":"haechi-sealed-key","blob":"00"#, #"{"type":"haechi-sealed-key","blob":"zz"}"#,
    ] { #expect(LUKSToken.blob(in: text) == nil, "\(text)") }
  }
}

#if HAECHI_DEBUG
  @Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
  struct DevelopmentRootOfTrustTests {
    @Test func itSealsAndCountsAcrossBoots() throws {
      let folder = StorageFolder()
      let secret = SecretBytes(copying: [UInt8](repeating: 7, count: 64))
      var root = try DevelopmentRootOfTrust(partition: folder.partition())
      #expect(try root.value(of: .identityEpoch) == nil)
      #expect(try root.raise(.identityEpoch) == 1)
      let firmware = try root.seal(secret, to: .firmware)
      let data = try root.seal(secret, to: .dataKey(epoch: 1))
      root = try DevelopmentRootOfTrust(partition: folder.partition())
      #expect(try root.unseal(firmware).isEqual(to: secret))
      #expect(try root.unseal(data).isEqual(to: secret))
      #expect(try root.raise(.identityEpoch) == 2)
      #expect(try root.unseal(firmware).isEqual(to: secret))
      #expect(throws: BoardError.self) { _ = try root.unseal(data) }
      #expect(throws: BoardError.self) { _ = try root.unseal(Array(firmware.dropLast())) }
      let other = try DevelopmentRootOfTrust(partition: StorageFolder().partition())
      #expect(throws: BoardError.self) { _ = try other.unseal(firmware) }
    }
  }
#endif
