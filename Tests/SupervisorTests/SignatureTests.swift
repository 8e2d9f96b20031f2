import BoardAPI
import Foundations
import SupervisorLink
import Testing

@testable import Supervisor

@Suite("The device's own key signs in a worker, one signature at a time")
struct SignatureTests {
  private static let publicKey = [UInt8](repeating: 0x59, count: 91)
  private let digest = [UInt8](repeating: 0xd1, count: 32)

  private func rig(hasKey: Bool = true, limits: SupervisorLimits = SupervisorLimits()) -> Rig {
    let rig = Rig(limits: limits)
    if hasKey {
      rig.board.fakeStorage.facts = StorageFacts(
        state: .open, cipher: "aes-xts-plain64", rootOfTrust: .tpm2, identityEpoch: 3,
        identityKey: IdentityKey(publicKey: Self.publicKey, handle: FakeRootOfTrust.handle))
    }
    _ = rig.supervisor.boot()
    rig.run(for: 1_000_000)
    return rig
  }
  private func answers(_ rig: Rig) -> [SupervisorMessage] {
    rig.host.heard.filter {
      switch $0 {
      case .answer, .signature: true
      default: false
      }
    }
  }

  @Test("each runtime is told the public half before the link, and never the handle")
  func told() throws {
    let rig = rig()
    for _ in 0..<2 {
      let key = try #require(rig.host.heard.firstIndex(of: .identityKey(Self.publicKey)))
      let link = try #require(rig.host.heard.firstIndex { if case .link = $0 { true } else { false } })
      #expect(key < link)
      #expect(!rig.host.sent.contains { $0.firstRange(of: FakeRootOfTrust.handle) != nil })
      rig.host.crash()
      rig.run(for: 3_000_000)
    }
  }

  @Test("what is asked for is signed, and answered with the signature")
  func signs() {
    let rig = rig()
    rig.host.sent = []
    for request in 1...3 as ClosedRange<UInt32> { rig.host.say(.sign(request: request, digest: digest)) }
    rig.run(for: 1_000_000)
    let signature = rig.board.fakeRootOfTrust.signature ?? []
    #expect(answers(rig) == (1...3).map { .signature(request: $0, signature) })
    #expect(rig.board.fakeRootOfTrust.signed == [digest, digest, digest])
  }

  @Test("a device whose key is a file signs nothing here")
  func none() {
    let rig = rig(hasKey: false)
    #expect(!rig.host.heard.contains { if case .identityKey = $0 { true } else { false } })
    rig.host.sent = []
    rig.host.say(.sign(request: 1, digest: digest))
    rig.run(for: 1_000_000)
    #expect(answers(rig) == [.answer(request: 1, .refused)])
  }

  @Test("a root of trust that does not sign is told as failed, with its reason in the log", arguments: [nil, [], [UInt8](repeating: 1, count: 81)])
  func fails(_ signature: [UInt8]?) {
    let rig = rig()
    rig.board.fakeRootOfTrust.signature = signature
    rig.host.sent = []
    rig.host.say(.sign(request: 1, digest: digest))
    rig.run(for: 1_000_000)
    #expect(answers(rig) == [.answer(request: 1, .failed)])
    #expect(rig.board.fakeConsole.lines.contains { $0.contains("the device's own key did not sign") })
    if signature == nil { #expect(rig.board.fakeConsole.lines.contains { $0.contains("another TPM") }) }
  }

  @Test("a worker that hangs is killed, and the next one has its turn")
  func hangs() {
    let rig = rig()
    rig.host.sent = []
    rig.host.workerRuns = false
    for request in 1...2 as ClosedRange<UInt32> { rig.host.say(.sign(request: request, digest: digest)) }
    rig.run(for: 12_000_000)
    #expect(answers(rig) == [.answer(request: 1, .failed), .answer(request: 2, .failed)])
    rig.host.sent = []
    rig.host.workerRuns = true
    rig.host.say(.sign(request: 3, digest: digest))
    rig.run(for: 1_000_000)
    #expect(answers(rig) == [.signature(request: 3, rig.board.fakeRootOfTrust.signature ?? [])])
  }

  /// A flood ends in refusals: few wait, fewer than a worker's worth a second are begun, and all else goes on.
  @Test("what is too much is refused at once")
  func floods() {
    var limits = SupervisorLimits()
    limits.signatureBurst = 6
    limits.signaturesPerSecond = 1
    let rig = rig(limits: limits)
    rig.host.sent = []
    rig.host.workerRuns = false
    for request in 1...20 as ClosedRange<UInt32> { rig.host.say(.sign(request: request, digest: digest)) }
    rig.host.say(.setOutput(request: 21, name: ShortName("relay") ?? .unnamed, value: true))
    rig.run(for: 600_000)
    // One is made and four wait; a sixth has no room.
    #expect(answers(rig) == (6...20).map { .answer(request: $0, .busy) } + [.answer(request: 21, .done)])
    rig.run(for: 30_000_000)
    #expect(answers(rig).filter { if case .answer(_, .failed) = $0 { true } else { false } }.count == 5)

    rig.host.workerRuns = true
    rig.run(for: 60_000_000)
    rig.host.sent = []
    let before = rig.board.fakeRootOfTrust.signed.count
    for request in 100..<140 as Range<UInt32> {
      rig.host.say(.sign(request: request, digest: digest))
      rig.turn(most: 3) { false }
    }
    // The burst, and one for each second that has passed meanwhile.
    let made = rig.board.fakeRootOfTrust.signed.count - before
    #expect(made >= 6 && made < 40)
    #expect(answers(rig).filter { if case .answer(_, .busy) = $0 { true } else { false } }.count == 40 - made)
    #expect(rig.isAlive)
  }

  @Test("a runtime hears nothing of what the one before had asked for")
  func successor() {
    let rig = rig()
    rig.host.workerRuns = false
    for request in 1...3 as ClosedRange<UInt32> { rig.host.say(.sign(request: request, digest: digest)) }
    rig.turn(most: 3) { false }
    rig.host.crash()
    rig.run(for: 3_000_000)
    #expect(rig.isAlive)
    rig.run(for: 20_000_000)
    #expect(answers(rig) == [])
  }

  @Test("what a worker says of the storage is read as a packet is")
  func storageAnswers() throws {
    let key = IdentityKey(publicKey: Self.publicKey, handle: [UInt8](repeating: 3, count: IdentityKey.handleMaximum_bytes))
    let facts = StorageFacts(state: .open, rootOfTrust: .tpm2, identityEpoch: 1, identityKey: key)
    let whole = StorageAnswer.bytes(facts)
    let (report, found) = try #require(StorageAnswer.read(whole))
    #expect(report == StorageReport(facts) && found == key)
    let plain = try #require(StorageAnswer.read(StorageAnswer.bytes(StorageFacts(state: .volatile, reason: "no disk"))))
    #expect(plain.0.state == .volatile && plain.1 == nil)
    #expect(StorageAnswer.read([]) == nil && StorageAnswer.read(whole + [0]) == nil)
    for count in 0..<2 * SupervisorPacket.size + 1 where count != SupervisorPacket.size { #expect(StorageAnswer.read(Array(whole.prefix(count))) == nil) }
    for index in 0..<2 * SupervisorPacket.size {
      var changed = whole
      changed[index] ^= 0x80
      if let (_, key) = StorageAnswer.read(changed) { #expect(key?.handle.count == IdentityKey.handleMaximum_bytes) }
    }
  }
}
