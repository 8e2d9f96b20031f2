import LocalAPI
import Testing

@testable import PeerLink

@Suite("What two peers have in common") struct AgreementTests {
  @Test("the highest common version and the common capabilities, whoever asks first")
  func common() throws {
    let older = PeerOffer(versions: [1, 2], capabilities: ["readings"])
    let newer = PeerOffer(versions: [4, 3, 2], capabilities: ["orders", "readings"])
    let agreement = try PeerAgreement(older, newer)
    #expect(agreement.version == 2 && agreement.capabilities == ["readings"])
    #expect(try PeerAgreement(newer, older) == agreement)
    #expect(try PeerAgreement(newer, newer).version == 4)
    // Nothing that both can do is still an agreement: a later scope may change it.
    #expect(try PeerAgreement(PeerOffer(versions: [1], capabilities: ["x"]), .own).capabilities.isEmpty)
  }

  @Test("without a common version they refuse each other and say which they speak", arguments: [[], [2], [7, 2, 65_535]])
  func incompatible(versions: [Int]) throws {
    let error = try #require(throws: PeerLinkError.self) { _ = try PeerAgreement(.own, PeerOffer(versions: versions, capabilities: ["readings"])) }
    #expect(error.code == "peer-incompatible" && error.reason.contains("here 1") && error.reason.contains("update the older firmware"))
    for version in versions { #expect(error.reason.contains("\(version)")) }
  }

  private func hello(
    versions: [Int] = [1], capabilities: [String] = ["readings"], version: Int = 1, agreed: [String] = ["readings"], readings: [String] = ["temperature"]
  ) -> PeerHelloDocument {
    PeerHelloDocument(
      deviceId: "00112233445566778899", versions: versions, capabilities: capabilities, version: version, agreed: agreed, state: "approved", readings: readings)
  }
  private func code(_ answer: PeerHelloDocument) -> String? {
    do throws(PeerLinkError) {
      _ = try PeerLink.check(answer, own: .own)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("what a peer says must fit what this side finds itself")
  func answers() throws {
    #expect(try PeerLink.check(hello(), own: .own).granted == ["temperature"])
    #expect(try PeerLink.check(hello(versions: [1, 9], capabilities: ["readings", "orders"]), own: .own).granted == ["temperature"])
    #expect(code(hello(version: 2)) == "peer-incompatible")
    #expect(code(hello(versions: [2], version: 2)) == "peer-incompatible")
    #expect(code(hello(agreed: [])) == "peer-incompatible")
    #expect(code(hello(readings: ["a/b"])) == "peer-answer")
    #expect(code(hello(readings: (0..<17).map { "r\($0)" })) == "peer-answer")
    #expect(code(hello(versions: Array(1...17))) == "peer-answer")
    // Without the capability no reading is asked for, whatever the list says.
    #expect(try PeerLink.check(hello(capabilities: ["orders"], agreed: []), own: .own).granted.isEmpty)
  }

  @Test("a reading is the one that was asked for, and bounded")
  func readings() throws {
    func code(_ reading: ReadingDocument) -> String? {
      do throws(PeerLinkError) {
        try PeerLink.check(reading, name: "temperature")
        return nil
      } catch {
        return error.code
      }
    }
    func reading(_ name: String = "temperature", _ value: Double = 21.5, _ unit: String = "Cel", _ time: String = "2026-01-31T12:00:00Z") -> ReadingDocument {
      ReadingDocument(name: name, value: value, unit: unit, time: time, simulated: false)
    }
    #expect(code(reading()) == nil)
    #expect(code(reading("humidity")) == "peer-answer")
    #expect(code(reading("temperature", .infinity)) == "peer-answer")
    #expect(code(reading("temperature", 1, String(repeating: "x", count: 33))) == "peer-answer")
    #expect(code(reading("temperature", 1, "Cel", String(repeating: "x", count: 41))) == "peer-answer")
  }
}
