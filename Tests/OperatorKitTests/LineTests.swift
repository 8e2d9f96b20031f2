import Crypto
import FoundationEssentials
import Foundations
import Identity
import Synchronization
import TLS
import Testing

@testable import OperatorKit

/// A line against DeviceCore's own devices, over TLS on loopback.
@Suite(.serialized) struct LineTests {
  private let folder: TemporaryFolder
  private let home: OperatorHome
  private var ledger: String { folder.path + "/ledger.csv" }

  init() throws {
    folder = try TemporaryFolder()
    home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
  }

  private func line(labels: String? = nil) throws -> ProvisioningLine {
    try ProvisioningLine(
      stationFolder: home.makerFolder, ledger: ledger, labelsFolder: labels ?? home.labelsFolder, pattern: try SerialPattern("KB-{n:04}"), atOnce: 4)
  }

  private func withDevices(_ count: Int, _ devices: [TestDevice] = [], _ body: ([TestDevice]) async throws -> Void) async throws {
    guard devices.count < count else { return try await body(devices) }
    try await TestDevice.with(makerFolder: home.makerFolder) { device in try await withDevices(count, devices + [device], body) }
  }

  private func entries() throws -> [String] {
    String(decoding: try PrivateFiles.read(ledger), as: UTF8.self).split(separator: "\n").dropFirst().map { String($0) }
  }

  @Test func manyDevicesInOneRunAndAgain() async throws {
    try await withDevices(5) { devices in
      let endpoints = devices.map(\.endpoint)
      var updates: [LineUpdate] = []
      let report = try await line().run(endpoints) { updates.append($0) }
      #expect(report.provisioned == 5 && report.refused == 0 && report.inLedger == 5)
      #expect(updates.map(\.done) == [1, 2, 3, 4, 5] && updates.allSatisfy { $0.total == 5 && $0.outcome == .provisioned })
      #expect(Set(updates.compactMap(\.serialNumber)) == ["KB-0001", "KB-0002", "KB-0003", "KB-0004", "KB-0005"])
      #expect(try entries().count == 10)

      for update in updates {
        let serialNumber = try #require(update.serialNumber)
        let label = try #require(try LabelFiles(folder: home.labelsFolder).existing(try Provisioning.check(serialNumber)))
        #expect(label.deviceId.text == update.deviceId)
        #expect(try mode("\(home.labelsFolder)/\(serialNumber).txt") == 0o600 && mode("\(home.labelsFolder)/\(serialNumber).png") == 0o600)
        let all = try entries().joined()
        #expect(!all.contains(label.code.text) && !all.contains(label.code.groupedText), "the ledger holds no code")
      }

      // The same once more touches nothing.
      let again = try await line().run(endpoints) { #expect($0.outcome == .known && $0.serialNumber != nil) }
      #expect(again.known == 5 && again.provisioned == 0 && again.inLedger == 5)
      #expect(try entries().count == 10)
    }
  }

  /// The station loses power after the device took its certificate and before the ledger's line: the device says what is true.
  @Test func aCutBetweenDeviceAndLedgerIsReconciled() async throws {
    try await withDevices(1) { devices in
      _ = try await line().run(devices.map(\.endpoint)) { _ in }
      let whole = try PrivateFiles.read(ledger)
      let planned = try #require(whole.dropLast().lastIndex(of: 10)) + 1
      try PrivateFiles.write(Array(whole[..<(planned + 17)]), to: ledger, existing: .replace)

      // Without the label that was written then nobody could ever claim it: that is no success.
      let elsewhere = try await line(labels: folder.path + "/other").run(devices.map(\.endpoint)) { update in
        #expect(update.outcome == .refused && update.code == "file-missing" && update.reason?.contains("KB-0001.txt") == true)
      }
      #expect(elsewhere.refused == 1 && elsewhere.inLedger == 0)

      let report = try await line().run(devices.map(\.endpoint)) { #expect($0.outcome == .reconciled && $0.serialNumber == "KB-0001") }
      #expect(report.reconciled == 1 && report.inLedger == 1)
      #expect(try entries().map { $0.split(separator: ",")[1] } == ["planned", "provisioned"])
    }
  }

  /// The station loses power after the plan and the label, before the device got anything: the device gets that number and that label.
  @Test func aCutBeforeTheDeviceIsGoneOnWith() async throws {
    try await withDevices(2) { devices in
      _ = try await line().run([devices[0].endpoint]) { _ in }
      let key = try PrivateKey.generateP256().publicKey.digest
      do {
        // A plan for a device that is not there any more keeps its number.
        let open = try Ledger(ledger, pattern: try SerialPattern("KB-{n:04}"), first: 1)
        #expect(try await open.plan(keyHash: key, hardwareModel: "x", address: "h:1", now_s: 0).text == "KB-0002")
      }
      let report = try await line().run(devices.map(\.endpoint)) { _ in }
      #expect(report.known == 1 && report.provisioned == 1 && report.inLedger == 2)
      #expect(try entries().last?.contains("KB-0003") == true)
    }
  }

  @Test func aLabelThatWasPrintedStaysTheDevices() throws {
    let files = LabelFiles(folder: folder.path + "/labels")
    let serialNumber = try Provisioning.check("KB-0001")
    let key = sha256([1])
    let first = try files.label(serialNumber, keyHash: key)
    #expect(try files.label(serialNumber, keyHash: key).text == first.text)
    #expect { try files.label(serialNumber, keyHash: sha256([2])) } throws: { ($0 as? OperatorError)?.code == "file-exists" }
    let lines = String(decoding: try PrivateFiles.read(files.textFile(serialNumber)), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 5 && lines[0] == first.text[...] && lines[4].hasSuffix(first.code.groupedText))
  }

  @Test func whatAnotherStationProvisionedIsRefusedByName() async throws {
    try await withDevices(2) { devices in
      let other = try await Provisioning(home: home, stationFolder: home.makerFolder).run(endpoint: devices[0].endpoint, serialNumber: "FOREIGN-1")
      var refused: [LineUpdate] = []
      let report = try await line().run(devices.map(\.endpoint)) { if $0.outcome == .refused { refused.append($0) } }
      #expect(report.provisioned == 1 && report.refused == 1)
      let update = try #require(refused.first)
      #expect(update.code == "already-provisioned")
      #expect(update.reason?.contains(other.deviceId) == true && update.reason?.contains("FOREIGN-1") == true)
    }
  }

  @Test func oneAfterTheOtherAtOneAddress() async throws {
    try await withDevices(1) { devices in
      var updates: [LineUpdate] = []
      let report = try await line().run(at: devices[0].endpoint, count: 1) { updates.append($0) }
      #expect(report.provisioned == 1 && report.inLedger == 1 && updates.map(\.outcome) == [.provisioned])
      // The count is the ledger's: there is nothing left to do.
      let again = try await line().run(at: devices[0].endpoint, count: 1) { _ in Issue.record("nothing was to be done") }
      #expect(again.inLedger == 1 && again.provisioned == 0)
      // A second one is waited for, and the first is not taken for it.
      let waiting = Task { () -> Bool in
        do {
          _ = try await line().run(at: devices[0].endpoint, count: 2) { #expect($0.outcome == .known) }
          return false
        } catch { return (error as? OperatorError)?.code == "line-incomplete" }
      }
      try await Task.sleep(for: .seconds(2))
      waiting.cancel()
      #expect(await waiting.value)
    }
  }

  /// IEEE 802.1AR: the serial number twice, the hardware's type, and no end.
  @Test func theIdentityIsAsTheStandardWantsIt() async throws {
    try await withDevices(1) { devices in
      let done = try await Provisioning(home: home, stationFolder: home.makerFolder, hardwareType: "1.3.6.1.4.1.32473.7")
        .run(endpoint: devices[0].endpoint, serialNumber: "KB-000001")
      let maker = try KeyFiles.certificate(home.makerFolder + "/maker-ca.pem")
      let seen = Mutex<Certificate?>(nil)
      let security = try ConnectionSecurity(
        credential: try Claiming.claimant(now_s: secondsNow()), trust: .authorityAnyName([maker]), peerName: "the device"
      ) { certificate in
        seen.withLock { $0 = certificate }
        return nil
      }
      _ = try await DeviceConnection.with(devices[0].endpoint, security: security) { (connection) throws(OperatorError) in
        try await DeviceClient(connection).info()
      }
      let certificate = try #require(seen.withLock { $0 })
      #expect(certificate.subjectSerialNumber == "KB-000001" && certificate.subjectCommonName == done.deviceId && certificate.notAfter_s == noEnd_s)
      #expect(certificate.hardwareModule?.type.text == "1.3.6.1.4.1.32473.7")
      #expect(certificate.hardwareModule?.serialNumber == Array("KB-000001".utf8))
      #expect(throws: OperatorError.self) { try Provisioning(home: home, stationFolder: home.makerFolder, hardwareType: "no") }
    }
  }
}
