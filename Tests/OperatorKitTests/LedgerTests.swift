import Crypto
import FoundationEssentials
import Foundations
import Glibc
import Identity
import Testing

@testable import OperatorKit

@Suite struct SerialPatternTests {
  @Test func numbersDevices() throws {
    let pattern = try SerialPattern("KB-{n:06}")
    #expect(pattern.serialNumber(7)?.text == "KB-000007" && pattern.serialNumber(1_234_567)?.text == "KB-1234567")
    #expect(pattern.number(of: "KB-000007") == 7 && pattern.number(of: "KB-1234567") == 1_234_567)
    for other in ["KB-7", "KB-", "XB-000007", "KB-00000A", "KB--00007", "KB-+00007"] { #expect(pattern.number(of: other) == nil) }
    #expect(try SerialPattern("{n}").serialNumber(0)?.text == "0" && SerialPattern("A{n}.B").number(of: "A12.B") == 12)
    #expect(pattern.serialNumber(-1) == nil && pattern.serialNumber(Int.max) == nil)
  }

  @Test(arguments: [
    "", "KB", "KB-{n", "KB-{n:6}", "KB-{n:013}", "KB-{n:00}", "kb-{n}", "KB/{n}", "{n}{n}", "-{n}", "KB-{n:0x}", String(repeating: "A", count: 60) + "{n}",
  ])
  func isRefused(_ text: String) { #expect(throws: OperatorError.self) { try SerialPattern(text) } }
}

@Suite struct LedgerTests {
  private let now_s: Int64 = 1_800_000_000
  private func key(_ number: UInt8) -> [UInt8] { sha256([number]) }
  private func open(_ path: String, first: Int = 1) throws -> Ledger { try Ledger(path, pattern: try SerialPattern("KB-{n:04}"), first: first) }
  private func plan(_ ledger: Ledger, _ number: UInt8) async throws -> String {
    try await ledger.plan(keyHash: key(number), hardwareModel: "=cmd|,\"x\"", address: "10.0.0.\(number):8443", now_s: now_s).text
  }
  private func complete(_ ledger: Ledger, _ number: UInt8) async throws {
    let device = try #require(DeviceIdentifier(publicKeyDigest: key(number)))
    let entry = try #require(await ledger.entry(device))
    let serialNumber = try Provisioning.check(entry.serialNumber)
    try await ledger.complete(serialNumber, keyHash: key(number), hardwareModel: entry.hardwareModel, address: entry.address, now_s: now_s)
  }

  @Test(arguments: ["ledger.csv", "ledger.json", "ledger.jsonl"]) func goesOnWhereItWas(_ name: String) async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + name
    do {
      let ledger = try open(path, first: 41)
      #expect(try await plan(ledger, 1) == "KB-0041")
      try await complete(ledger, 1)
      #expect(try await plan(ledger, 2) == "KB-0042")
      #expect(try await plan(ledger, 2) == "KB-0042", "a device that was planned keeps its number")
      #expect(await ledger.provisioned == 1)
    }
    #expect(try mode(path) == 0o600)
    let again = try open(path)
    #expect(await again.provisioned == 1)
    #expect(try await plan(again, 2) == "KB-0042")
    #expect(try await plan(again, 3) == "KB-0043")
    #expect(try await plan(again, 1) == "KB-0041", "a device that lost its identity gets the same again")
    let text = String(decoding: try PrivateFiles.read(path), as: UTF8.self)
    #expect(text.split(separator: "\n").count == (name == "ledger.csv" ? 5 : 4))
    #expect(!text.contains("=cmd") && !text.contains("|"), "a spreadsheet finds no formula in the device's words")
  }

  /// The power goes at every byte: what was being written never happened, what was written stands.
  @Test func aLineThatWasCutOffNeverHappened() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/ledger.csv"
    do {
      let ledger = try open(path)
      _ = try await plan(ledger, 1)
      try await complete(ledger, 1)
      _ = try await plan(ledger, 2)
    }
    let whole = try PrivateFiles.read(path)
    let ends = whole.indices.filter { whole[$0] == 10 }
    // An entry counts once its last field has begun: an editor leaves out the last line feed, too.
    let begun = [ends[0]] + ends.dropFirst().map { end in whole[..<end].lastIndex(of: UInt8(ascii: ",")) ?? end }
    for count in whole.indices {
      let cut = folder.path + "/cut-\(count).csv"
      try PrivateFiles.write(Array(whole[..<count]), to: cut, existing: .refuse)
      let ledger = try open(cut)
      let lines = begun.count { $0 < count }
      #expect(await ledger.provisioned == (lines >= 3 ? 1 : 0))
      // Number 1 is taken by device 1 once its line is whole.
      #expect(try await plan(ledger, 9) == (lines >= 4 ? "KB-0003" : lines >= 2 ? "KB-0002" : "KB-0001"))
      // What is there afterwards is whole again.
      #expect(try PrivateFiles.read(cut).last == 10)
    }
  }

  @Test(arguments: [("notes.json", "{\"a\":1}"), ("notes.csv", "name,price"), ("notes.csv", "name,price\nx,1\nhalf"), ("notes.json", "half\n{\"address\":")])
  func whatIsNoLedgerStaysAsItIs(_ name: String, _ text: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/" + name
    try PrivateFiles.write(Array(text.utf8), to: path, existing: .refuse)
    #expect(throws: OperatorError.self) { try open(path) }
    #expect(try PrivateFiles.read(path) == Array(text.utf8))
  }

  @Test func oneStationAtATime() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/ledger.csv"
    let first = try open(path)
    #expect { try open(path) } throws: { ($0 as? OperatorError)?.reason.contains("another haechi") == true }
    withExtendedLifetime(first) {}
  }

  /// A child between `fork` and `exec` has a copy of each descriptor; the lock must not last as long as that.
  @Test func theLockEndsWithTheLedger() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/ledger.csv"
    var first: Ledger? = try open(path)
    let named = try #require(
      try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap(CInt.init).first {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
      })
    let copy = dup(named)
    try #require(copy >= 0)
    defer { close(copy) }
    withExtendedLifetime(first) {}
    first = nil
    _ = try open(path)
  }

  @Test func aBrokenLedgerIsNamedWithItsLine() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/ledger.csv"
    do {
      let ledger = try open(path)
      _ = try await plan(ledger, 1)
      _ = try await plan(ledger, 2)
    }
    let lines = String(decoding: try PrivateFiles.read(path), as: UTF8.self).split(separator: "\n").map(String.init)
    func refusal(_ lines: [String]) -> String? {
      do {
        try PrivateFiles.write(Array((lines.joined(separator: "\n") + "\n").utf8), to: path, existing: .replace)
        _ = try open(path)
        return nil
      } catch { return (error as? OperatorError)?.reason }
    }
    #expect(refusal(lines) == nil)
    #expect(refusal(Array(lines.dropFirst()))?.contains("line 1") == true)
    #expect(refusal(lines + ["a,b"])?.contains("line 4: it has 2 fields") == true)
    #expect(refusal(lines + [lines[1].replacing("planned", with: "wished")])?.contains("'state'") == true)
    // One serial number for two devices; two for one; an id that is not its key's.
    #expect(refusal(lines + [lines[2].replacing("KB-0002", with: "KB-0001")])?.contains("line 4") == true)
    #expect(refusal(lines + [lines[2].replacing("KB-0002", with: "KB-0009")])?.contains("line 4") == true)
    #expect(refusal(lines + [lines[2].replacing(hexadecimal(key(2).prefix(10)) + ",", with: "00000000000000000000,")])?.contains("'deviceId'") == true)
    #expect(throws: OperatorError.self) { try open(folder.path + "/ledger.txt") }
    #expect(throws: OperatorError.self) { try open(folder.path + "/none/ledger.csv") }
  }
}

@Suite struct AddressListTests {
  private func read(_ text: String) throws -> [String] {
    let folder = try TemporaryFolder()
    try PrivateFiles.write(Array(text.utf8), to: folder.path + "/a", existing: .refuse)
    return try AddressList.read(folder.path + "/a").map(\.description)
  }

  @Test func readsLinesAndComments() throws {
    #expect(try read("# bench 3\n10.0.0.1:8443\n\n  10.0.0.2   # second\n[::1]:9\n") == ["10.0.0.1:8443", "10.0.0.2:8443", "[::1]:9"])
  }

  @Test(arguments: [("", "1 to"), ("a b\n", "line 1"), ("h:1\nh:0\n", "line 2"), ("h:1\nh:1\n", "twice")]) func whatIsWrongIsNamed(
    _ text: String, _ reason: String
  ) {
    #expect { try read(text) } throws: { ($0 as? OperatorError)?.reason.contains(reason) == true }
  }
}
