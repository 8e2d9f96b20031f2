import Audit
import Foundations
import Glibc
import Testing

@testable import OperatorKit

/// A real device on this host: what happens to it is in its log, and what somebody does to the log is found.
@Suite(.serialized) struct AuditProcessTests {
  private func kinds(_ report: AuditReport) -> [String] { report.entries.map(\.kind) }

  private func change(_ path: String, _ body: (inout [UInt8]) -> Void) throws {
    var bytes = try PrivateFiles.read(path)
    body(&bytes)
    try PrivateFiles.write(bytes, to: path, existing: .replace)
  }

  @Test func theLogOfALifeIsExportedAndVerifiedAndWhatIsDoneToItIsNamed() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let maker = OperatorHome(path: folder.path + "/maker")
    _ = try MakerFolder.make(maker.makerFolder, home: maker)
    let home = OperatorHome(path: folder.path + "/owner")
    let process = try HaechidProcess(maker: maker, port: try HaechidProcess.freePorts(1)[0], peerPorts: [])
    try await process.waitUntilServing()
    let made = try await Provisioning(home: maker, stationFolder: maker.makerFolder).run(endpoint: process.endpoint, serialNumber: nil)
    let label = try LabelSource.read(made.labelFile)
    func claim(wipes: Bool = false) async throws {
      let claiming = Claiming(home: home, ownerFolder: nil, makerCAFile: maker.makerFolder + "/maker-ca.pem", passphrases: FixedPassphrase())
      _ = try await process.withButton {
        try await claiming.run(device: process.endpoint.description, label: label, person: "ada", alias: "hall", wipes: wipes) { step in
          if case .pressButton = step { process.press() }
        }
      }
    }
    try await claim()
    let device = try OwnedDevice(home: home, device: "hall")
    let id = try #require(device.deviceId)
    var exports = 0
    func export() async throws -> AuditReport {
      exports += 1
      return try await AuditExporting(device).run(file: "\(folder.path)/\(exports).audit")
    }

    // What happened until now, in its order.
    let first = try await export()
    #expect(first.isClean && first.deviceId == id.text && !first.keyWasKnown, "\(first.findings)")
    #expect(first.signedTo == first.entries.last?.sequence)
    let order = ["boot", "runtime-started", "serving", "provisioned", "owner-pinned", "claimed", "exported"]
    #expect(kinds(first).filter { order.contains($0) } == order, "\(kinds(first))")

    // A statement, a crash, an orderly end, a power cut.
    _ = try await Peering(device).put("00112233445566778899", address: nil, scope: ["readings:temperature"])
    try await process.killRuntime()
    try await process.restart(isCut: false)
    // On its medium before the power goes.
    _ = try await export()
    try await process.restart(isCut: true)
    let second = try await export()
    #expect(second.isClean && second.keyWasKnown, "\(second.findings)")
    #expect(second.entries.contains { $0.kind == "statement-accepted" && $0.values == ["set-peers"] })
    #expect(second.entries.contains { $0.kind == "runtime-ended" && $0.values == ["killed", "9"] })
    #expect(second.entries.contains { $0.kind == "shutdown" && $0.values == ["power-off"] })
    #expect(second.entries.filter { $0.kind == "boot" }.map(\.values) == [["first"], ["after-shutdown"], ["unannounced"]])
    // The first export is an older file, and still an honest one; with the owner's key each entry from the claim on is checked by its own code.
    #expect(try AuditChecking(home: home).run(file: folder.path + "/1.audit").isClean)
    let checked = try AuditChecking(home: home, ownerFolder: nil, passphrases: FixedPassphrase()).run(file: folder.path + "/\(exports).audit")
    #expect(checked.isClean && checked.codedTo == checked.entries.last?.sequence, "\(checked.findings)")
    #expect(try #require(checked.codedFrom) <= first.signedTo + 1)

    // The owner's switch.
    #expect(try await AuditExporting(device).setExport(false).export == false)
    await #expect { try await export() } throws: { ($0 as? OperatorError)?.refusal?.problem == "audit-export-off" }
    try await process.restart(isCut: false)
    await #expect { try await export() } throws: { ($0 as? OperatorError)?.refusal?.problem == "audit-export-off" }
    #expect(try await AuditExporting(device).setExport(true).export)

    // Somebody at the files: the word of an entry, then an entry less, then the newest segment gone.
    let segment = try #require(try PrivateFiles.names(process.auditFolder).filter { $0.hasSuffix(".segment") }.last)
    let path = process.auditFolder + "/" + segment
    let honest = try PrivateFiles.read(path)
    try change(path) { bytes in
      if let place = bytes.indices.first(where: { bytes[$0...].starts(with: "set-peers".utf8) }) { bytes[place] ^= 0x20 }
    }
    let changed = try await export()
    let entry = try #require(second.entries.first { $0.values == ["set-peers"] }?.sequence)
    let finding = try #require(changed.findings.first)
    #expect(finding.kind == "changed" && finding.first <= entry && finding.last >= entry, "\(changed.findings)")
    let named = try AuditChecking(home: home, ownerFolder: nil, passphrases: FixedPassphrase()).run(file: folder.path + "/\(exports).audit")
    #expect(named.findings.first?.kind == "changed" && named.findings.first?.first == entry, "\(named.findings)")
    #expect(honest.count > 500)
  }

  @Test func aWipeTakesTheOwnersEntriesAndTheNextOwnerBeginsAnew() async throws {
    let folder = try TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let maker = OperatorHome(path: folder.path + "/maker")
    _ = try MakerFolder.make(maker.makerFolder, home: maker)
    let process = try HaechidProcess(maker: maker, port: try HaechidProcess.freePorts(1)[0], peerPorts: [])
    try await process.waitUntilServing()
    let made = try await Provisioning(home: maker, stationFolder: maker.makerFolder).run(endpoint: process.endpoint, serialNumber: nil)
    let label = try LabelSource.read(made.labelFile)
    func claim(_ home: OperatorHome) async throws -> OwnedDevice {
      let claiming = Claiming(home: home, ownerFolder: nil, makerCAFile: maker.makerFolder + "/maker-ca.pem", passphrases: FixedPassphrase())
      _ = try await process.withButton {
        try await claiming.run(device: process.endpoint.description, label: label, person: "ada", alias: "hall", wipes: false) { step in
          if case .pressButton = step { process.press() }
        }
      }
      return try OwnedDevice(home: home, device: "hall")
    }
    let seller = try await claim(OperatorHome(path: folder.path + "/seller"))
    let before = try await AuditExporting(seller).run(file: folder.path + "/seller.audit")
    #expect(before.isClean && kinds(before).contains("claimed"))
    _ = try await Transferring(seller).run()
    // The machine restarts; here somebody has to.
    try await process.waitUntilGone()
    try await process.restart(isCut: true)
    let buyer = try await claim(OperatorHome(path: folder.path + "/buyer"))
    let after = try await AuditExporting(buyer).run(file: folder.path + "/buyer.audit")
    #expect(after.isClean, "\(after.findings)")
    let first = try #require(after.entries.first)
    #expect(first.kind == "dropped" && first.sequence > (before.entries.last?.sequence ?? .max), "\(kinds(after))")
    #expect(after.entries.contains { $0.kind == "wiped" && $0.values == ["transfer"] })
    #expect(kinds(after).filter { $0 == "claimed" }.count == 1)
  }
}
