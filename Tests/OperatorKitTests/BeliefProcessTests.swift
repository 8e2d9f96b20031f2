import Foundations
import Identity
import Testing

@testable import OperatorKit

/// A real device on this host: what its owner said, and a quarantine, outlive its restarts.
@Suite(.serialized) struct BeliefProcessTests {
  private func eventually(_ what: String, _ process: HaechidProcess, _ condition: () -> Bool) async throws {
    for _ in 0..<4_800 {
      if condition() { return }
      try await Task.sleep(for: .milliseconds(25))
    }
    Issue.record("never came true: \(what)\n\(process.policy)\n\(process.log)")
  }

  /// A device of a maker's, with its label; claimed by whoever holds that.
  private struct World {
    let folder: TemporaryFolder
    let maker: OperatorHome
    let process: HaechidProcess
    let label: DeviceLabel
    /// Where another device might listen.
    let place: Endpoint

    init() async throws {
      folder = try TemporaryFolder()
      maker = OperatorHome(path: folder.path + "/maker")
      _ = try MakerFolder.make(maker.makerFolder, home: maker)
      let ports = try HaechidProcess.freePorts(2)
      place = Endpoint(host: "127.0.0.1", port: ports[1])
      process = try HaechidProcess(maker: maker, port: ports[0], peerPorts: [ports[1]])
      try await process.waitUntilServing()
      label = try LabelSource.read(
        try await Provisioning(home: maker, stationFolder: maker.makerFolder).run(endpoint: process.endpoint, serialNumber: nil).labelFile)
    }

    func claim(_ name: String, wipes: Bool = false, patience: ClaimPatience = ClaimPatience()) async throws -> OwnedDevice {
      let home = OperatorHome(path: folder.path + "/" + name)
      let claiming = Claiming(home: home, ownerFolder: nil, makerCAFile: maker.makerFolder + "/maker-ca.pem", passphrases: FixedPassphrase())
      _ = try await process.withButton {
        try await claiming.run(
          device: process.endpoint.description, label: label, person: "ada", alias: "hall", wipes: wipes, patience: patience
        ) { step in
          if case .pressButton = step { process.press() }
        }
      }
      return try OwnedDevice(home: home, device: "hall")
    }
  }

  /// From within the sandbox, by the supervisor's leave, over a restart: on the loopback, which is all that this board announces on.
  @Test func aDeviceThatMayAnnounceItselfDoesSoAfterARestartToo() async throws {
    let world = try await World()
    let process = world.process
    let device = try await world.claim("owner")
    let search = try NeighbourSearch(home: OperatorHome(path: world.folder.path + "/owner"), seconds: 30)
    let id = try Peering.identifier("hall", home: OperatorHome(path: world.folder.path + "/owner"))
    #expect(!process.policy.contains("discovery"))
    _ = try await DiscoverySwitching(device).run(on: true)
    for isAfterRestart in [false, true] {
      if isAfterRestart { try await process.restart(isCut: true) }
      try await eventually("multicast DNS is let through", process) { process.policy.contains("discovery") }
      let place = try await search.place(of: id, name: "hall")
      #expect(place == process.endpoint, "\(process.log)")
    }
    _ = try await DiscoverySwitching(device).run(on: false)
    try await eventually("multicast DNS is not let through any more", process) { !process.policy.contains("discovery") }
    let grade = try await device.guardState().grade
    #expect(grade == "normal")
  }

  @Test func aQuarantineOutlivesRestartsUntilTheOwnerEndsItAndSoDoesTheOwnersWord() async throws {
    let world = try await World()
    let process = world.process
    let device = try await world.claim("owner")
    let port = String(world.place.port)
    _ = try await Peering(device).put("00112233445566778899", address: world.place, scope: [])
    try await eventually("the way to the peer is open", process) { process.policy.contains(port) }

    // Nothing was said again, and the way to the peer is open.
    try await process.restart(isCut: true)
    try await eventually("the way to the peer is open", process) { process.policy.contains(port) }

    // Three runtimes that do not settle; restarts of either kind do not end it, and open no way.
    try await process.endRuntimesUntilQuarantined()
    let before = try await device.guardState()
    #expect(before.grade == "quarantined" && before.cause == "crash-loop")
    for isCut in [true, false] {
      try await process.restart(isCut: isCut)
      let now = try await device.guardState()
      #expect([now.grade, now.cause, now.evidence] == [before.grade, before.cause, before.evidence])
      #expect(now.event == before.event && now.nonce != before.nonce && now.sinceMicroseconds == 0)
      try await eventually("the rules are those of the quarantine", process) { process.policy.contains("grade quarantined") }
      #expect(!process.policy.contains(port), "\(process.policy)")
    }
    #expect(try await GuardRelease(device).run().now.grade == "normal")
    try await process.restart(isCut: true)
    #expect(try await device.guardState().grade == "normal")

    // The next owner begins with nothing of it.
    _ = try await Transferring(device).run()
    try await process.waitUntilGone()
    try await process.restart(isCut: true)
    #expect(!process.policy.contains(port))
    let buyer = try await world.claim("buyer")
    #expect(try await buyer.guardState().grade == "normal")
  }

  @Test func inAQuarantineOfBeforeLabelAndButtonWipeIt() async throws {
    let world = try await World()
    let device = try await world.claim("lost-owner")
    try await world.process.endRuntimesUntilQuarantined()
    #expect(try await device.guardState().grade == "quarantined")
    // For a device that restarts somebody has to start it here.
    var patience = ClaimPatience()
    (patience.button_s, patience.restart_s) = (120, 1)
    let early = await #expect(throws: OperatorError.self) { _ = try await world.claim("holder", wipes: true, patience: patience) }
    #expect(early?.refusal?.problem == "not-in-this-grade", "\(String(describing: early))")
    #expect(try await device.guardState().grade == "quarantined")
    try await world.process.restart(isCut: true)
    #expect(try await device.guardState().grade == "quarantined")
    await #expect(throws: OperatorError.self) { _ = try await world.claim("holder", wipes: true, patience: patience) }
    try await world.process.waitUntilGone()
    try await world.process.restart(isCut: true)
    let held = try await world.claim("holder")
    #expect(try await held.guardState().grade == "normal")
  }

  @Test func whatCannotBeReadAgainIsAQuarantineThatTheOwnerEnds() async throws {
    let world = try await World()
    let device = try await world.claim("owner")
    _ = try await Peering(device).put("00112233445566778899", address: world.place, scope: [])
    let path = world.process.beliefsFile
    var bytes = try PrivateFiles.read(path)
    #expect(bytes.count == 2 * 16 * 1024)
    // One copy: nothing is lost.
    bytes[100] ^= 1
    try PrivateFiles.write(bytes, to: path, existing: .replace)
    try await world.process.restart(isCut: true)
    #expect(try await device.guardState().grade == "normal")
    bytes = try PrivateFiles.read(path).map { $0 ^ 1 }
    try PrivateFiles.write(bytes, to: path, existing: .replace)
    for isCut in [true, false] {
      try await world.process.restart(isCut: isCut)
      let state = try await device.guardState()
      #expect(state.grade == "quarantined" && state.cause == "beliefs-lost" && state.sinceMicroseconds == 0, "\(state)")
    }
    #expect(try await GuardRelease(device).run().now.grade == "normal")
    try await world.process.restart(isCut: true)
    #expect(try await device.guardState().grade == "normal")
  }

  /// The runtime lost its owner's files; what the supervisor keeps of that owner ends as everything of an owner's does, by a wipe.
  @Test func aDeviceThatWasMadeWholeIsWipedByTheFirstClaim() async throws {
    let world = try await World()
    _ = try await world.claim("owner")
    try await world.process.endRuntimesUntilQuarantined()
    try PrivateFiles.write(Array("{}".utf8), to: world.process.ownerFile, existing: .replace)
    try await world.process.restart(isCut: true)
    let station = try Provisioning(home: world.maker, stationFolder: world.maker.makerFolder)
    _ = try await station.run(endpoint: world.process.endpoint, serialNumber: nil)
    let wiped = await #expect(throws: OperatorError.self) { _ = try await world.claim("holder") }
    #expect(wiped?.refusal?.problem == "wiped", "\(String(describing: wiped))")
    try await world.process.waitUntilGone()
    try await world.process.restart(isCut: true)
    let held = try await world.claim("holder")
    #expect(try await held.guardState().grade == "normal")
  }
}
