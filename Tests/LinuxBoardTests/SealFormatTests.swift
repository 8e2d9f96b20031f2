import BoardAPI
import Foundations
import Testing

@testable import LinuxBoard

/// What opens a disk's keys, as bytes and words; that a TPM sees it so too is tried on a machine (`MachineSealTests`).
@Suite(.disabled(if: TestMachine.isHere, TestMachine.onHost))
struct SealFormatTests {
  private static let state = [UInt8](1...32)
  private static let empty = [UInt8](repeating: 0, count: 32)

  /// As Images/assembly/seal.py writes it; the signatures name what they are for.
  private func file(epoch: UInt32 = 3, states: [(UInt8, [UInt8])] = [(1, state), (2, empty)], modulus: UInt8 = 7) -> [UInt8] {
    var writer = FieldWriter()
    writer.put(Array("HAECHI-SEAL-AUTH".utf8))
    writer.put(UInt8(1))
    writer.put(epoch)
    writer.put([UInt8](repeating: modulus, count: 256))
    writer.put(UInt8(states.count))
    for (start, state) in states {
      writer.put(start)
      writer.put(state)
      for asked in 1...max(epoch, 1) { writer.put([UInt8](repeating: start * 16 + UInt8(truncatingIfNeeded: asked), count: 256)) }
    }
    return writer.bytes
  }

  /// What a refusal says.
  private func reason(_ work: () throws(BoardError) -> some Any) -> String {
    do {
      _ = try work()
      return ""
    } catch {
      return error.code == BoardError.lockedCode ? error.reason : "another code: \(error.code)"
    }
  }

  @Test func eachDemandHasTheSignatureThatIsForIt() throws {
    let authority = try #require(SealAuthority(decoding: file()))
    #expect(authority.epoch == 3 && authority.approvals.count == 2)
    let demand = try authority.demand(in: Self.state)
    #expect(demand == SealDemand(start: .uefi, epoch: 3, signer: authority.signer))
    #expect(try authority.signature(for: demand, in: Self.state) == [UInt8](repeating: 0x13, count: 256))
    let earlier = SealDemand(start: .direct, epoch: 1, signer: authority.signer)
    #expect(try authority.signature(for: earlier, in: Self.empty) == [UInt8](repeating: 0x21, count: 256))
  }

  @Test func aRefusalNamesWhatDoesNotMatch() throws {
    let authority = try #require(SealAuthority(decoding: file(epoch: 2)))
    let demand = SealDemand(start: .uefi, epoch: 2, signer: authority.signer)
    let other = [UInt8](repeating: 9, count: 32)
    #expect(reason { () throws(BoardError) in try authority.demand(in: other) }.hasPrefix("PCR 7 is 0909"))
    #expect(reason { () throws(BoardError) in try authority.signature(for: demand, in: other) }.utf8.count <= 160)
    #expect(reason { () throws(BoardError) in try authority.signature(for: demand, in: Self.empty) }.contains("this one was started without it"))
    let later = SealDemand(start: .uefi, epoch: 3, signer: authority.signer)
    #expect(reason { () throws(BoardError) in try authority.signature(for: later, in: Self.state) }.contains("asks for security epoch 3, and this is an older"))
    let none = SealDemand(start: .uefi, epoch: 0, signer: authority.signer)
    #expect(reason { () throws(BoardError) in try authority.signature(for: none, in: Self.state) }.contains("security epoch 0"))
    let foreign = try #require(SealAuthority(decoding: file(modulus: 8)))
    #expect(reason { () throws(BoardError) in try foreign.signature(for: demand, in: Self.state) }.contains("another maker or variant"))
  }

  /// Computed by Images/assembly/seal.py: `policy(bytes(range(1, 33)), 3)`, and with the registers 7 and 5; `reference(2, 258)`.
  @Test func theMakersToolAndTheDeviceSignTheSame() throws {
    let authority = try #require(SealAuthority(decoding: file()))
    #expect(hexadecimal(authority.policy(in: Self.state, registers: SealRegisters())) == "5ee31e6933bddf16ffe7d298313fc4a5f3a388c157b257c6215be74c43866f14")
    let crossed = SealRegisters(epoch: 5)
    #expect(hexadecimal(authority.policy(in: Self.state, registers: crossed)) == "97cbc6dbeb7c72c70680aa3c22b594305dcd39befc4beec48a224c6aaddedeaf")
    #expect(hexadecimal(SealDemand(start: .direct, epoch: 258, signer: []).reference(SealRegisters())) == "6861656368692d7365616c2d310200000102804000")
  }

  @Test func whatIsNoSuchFileIsRefused() {
    let whole = file()
    for count in 0..<whole.count { #expect(SealAuthority(decoding: Array(whole.prefix(count))) == nil, "\(count)") }
    #expect(SealAuthority(decoding: whole + [0]) == nil)
    #expect(SealAuthority(decoding: file(epoch: 0)) == nil && SealAuthority(decoding: file(epoch: 65)) == nil)
    #expect(SealAuthority(decoding: file(states: [])) == nil)
    #expect(SealAuthority(decoding: file(states: [(3, Self.state)])) == nil)
    // A machine that UEFI started has a state, and one that it did not start has none: else the one would open what is the other's.
    #expect(SealAuthority(decoding: file(states: [(1, Self.empty)])) == nil)
    #expect(SealAuthority(decoding: file(states: [(2, Self.state)])) == nil)
    #expect(SealAuthority(decoding: file(states: .init(repeating: (1, Self.state), count: 9))) == nil)
  }

  @Test func aSealedKeyIsReadAsItWasWritten() throws {
    let signer = [UInt8](repeating: 5, count: 32)
    for binding in [SealBinding.firmware, .dataKey(epoch: 0), .dataKey(epoch: .max)] {
      let blob = SealedBlob(binding: binding, demand: SealDemand(start: .direct, epoch: 64, signer: signer), count: 1 << 40, object: [1, 2, 3])
      #expect(try SealedBlob(decoding: blob.encoded()) == blob)
    }
  }

  @Test func noBytesAreTakenForAKeyThatAreNone() throws {
    let whole = SealedBlob(
      binding: .firmware, demand: SealDemand(start: .uefi, epoch: 1, signer: [UInt8](repeating: 5, count: 32)), count: 1, object: [1]
    ).encoded()
    for count in 0..<whole.count { #expect(throws: BoardError.self) { try SealedBlob(decoding: Array(whole.prefix(count))) } }
    for (place, value) in [(0, 3), (1, 0), (1, 3), (9, 1), (10, 0), (10, 3)] as [(Int, UInt8)] {
      var bytes = whole
      bytes[place] = value
      #expect(throws: BoardError.self, "\(place)") { try SealedBlob(decoding: bytes) }
    }
    var older = whole
    older[0] = 1
    #expect(reason { () throws(BoardError) in try SealedBlob(decoding: older) }.contains("provision --remake"))
    var generator = SeededGenerator(state: 7)
    for _ in 0..<2_000 {
      var bytes = whole + file()
      bytes = Array(bytes.prefix(Int(generator.next() % 400)))
      for _ in 0..<4 where !bytes.isEmpty { bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next()) }
      _ = try? SealedBlob(decoding: bytes)
      _ = SealAuthority(decoding: bytes)
    }
  }
}
