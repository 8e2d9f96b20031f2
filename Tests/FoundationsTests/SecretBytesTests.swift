import Foundations
import Testing

@Suite struct SecretBytesTests {
  struct Refused: Error {}

  @Test func holdsACopyAndComparesIt() {
    let secret = SecretBytes(copying: [1, 2, 3] as [UInt8])
    #expect(secret.count == 3 && secret.withUnsafeBytes { Array($0) } == [1, 2, 3])
    #expect(secret.isEqual(to: SecretBytes(copying: [1, 2, 3] as [UInt8])))
    #expect(!secret.isEqual(to: SecretBytes(copying: [1, 2, 4] as [UInt8])) && !secret.isEqual(to: SecretBytes(copying: [1, 2] as [UInt8])))
    #expect(SecretBytes(copying: [] as [UInt8]).count == 0)
  }

  @Test func isWrittenInPlace() throws {
    let secret = SecretBytes(capacity: 8) { buffer in
      buffer.copyBytes(from: [9, 8] as [UInt8])
      return 2
    }
    #expect(secret.withUnsafeBytes { Array($0) } == [9, 8])
    #expect(throws: Refused.self) { _ = try SecretBytes(capacity: 8) { (_) throws(Refused) in throw Refused() } }
  }

  @Test func neverBecomesText() {
    let secret = SecretBytes(copying: Array("top secret".utf8))
    var dumped = ""
    dump(secret, to: &dumped)
    for text in ["\(secret)", String(describing: secret), String(reflecting: secret), dumped] {
      #expect(text.contains("10") && !text.contains("top") && !text.contains("116"))
    }
  }
}
