import Foundations
import Identity
import LocalAPI
import Synchronization
import Testing

@testable import DeviceCore

/// A change of the life cycle that is cut off at any of its steps leaves the state before it or the one after it, and the device reachable by someone entitled.
///
/// After each system call that changed a file, and around each commit, the test keeps what lies there: twice, once as it is, and once with the identity
/// folder as it was committed last, which is what a board finds that keeps that folder in memory.
@Suite struct CutTests {
  struct Remains: Hashable {
    var identity: [String: String]
    var state: [String: String]
  }

  /// What a cut at each moment leaves.
  final class Camera: Sendable {
    private struct State {
      var committed: [String: String] = [:]
      var remains: Set<Remains> = []
    }
    private let identity: TestFolder
    private let folder: TestFolder
    private let state = Mutex(State())

    init(_ bench: DeviceLifeCycleTests) { (identity, folder) = (bench.identity, bench.folder) }

    @Sendable func look() {
      let (now, owner) = (identity.contents(), folder.contents())
      state.withLock { state in
        state.remains.insert(Remains(identity: now, state: owner))
        state.remains.insert(Remains(identity: state.committed, state: owner))
      }
    }
    func commit() {
      look()
      let now = identity.contents()
      state.withLock { $0.committed = now }
      look()
    }
    func take() -> Set<Remains> {
      state.withLock { state in
        defer { state.remains = [] }
        return state.remains
      }
    }
  }

  let bench: DeviceLifeCycleTests
  let camera: Camera
  let clock = HandClock()

  init() throws {
    bench = try DeviceLifeCycleTests()
    camera = Camera(bench)
  }

  func load() async throws -> Device {
    let camera = camera
    return try await Device.load(
      identity: IdentityFolder(path: bench.identity.path, onStep: camera.look), state: StateFolder(path: bench.folder.path, onStep: camera.look),
      maker: bench.maker.authority, clock: testClock, log: DeviceLog(), grades: bench.grades,
      surroundings: Device.Surroundings(commitIdentity: { () async throws(Problem) in camera.commit() }, now_ms: clock.now_ms))
  }

  /// Starts a device from each of the remains; returns which phases came of them.
  private func phases(_ remains: Set<Remains>, wiped: Bool = false) async throws -> [LifeCyclePhase: Int] {
    var seen: [LifeCyclePhase: Int] = [:]
    for remains in remains {
      let copy = try DeviceLifeCycleTests(of: bench)
      for (name, text) in remains.identity { copy.identity.write(text, to: name) }
      for (name, text) in remains.state { copy.folder.write(text, to: name) }
      let device = try await copy.load(testClock, Device.Surroundings(now_ms: clock.now_ms))
      seen[device.standing.phase, default: 0] += 1
      _ = try device.credentials()
      switch device.standing.phase {
      case .owned: #expect(device.standing.owner == bench.owner.identifier)
      case .provisioned:
        if wiped { #expect(copy.folder.contents().isEmpty) }
        clock.advance(LockOut.longestWait_ms)
        try await copy.claim(device)
        #expect(device.standing.phase == .owned)
      case .blank, .damaged: try await copy.provision(device)
      }
      #expect(try await copy.load().standing == device.standing)
    }
    return seen
  }

  @Test func provisionIsWholeOrNothing() async throws {
    try await bench.provision(try await load())
    let seen = try await phases(camera.take())
    #expect(Set(seen.keys) == [.blank, .provisioned], "\(seen)")
  }

  @Test func claimIsWholeOrNothing() async throws {
    let device = try await load()
    try await bench.provision(device)
    _ = camera.take()
    try await bench.claim(device)
    let seen = try await phases(camera.take())
    #expect(Set(seen.keys) == [.provisioned, .owned], "\(seen)")
    #expect(seen.values.reduce(0, +) >= 10, "\(seen)")
  }

  @Test func wipeIsWholeOrNothing() async throws {
    let device = try await load()
    try await bench.provision(device)
    try await bench.claim(device)
    for name in ["cloud.json", "another.json"] { bench.folder.write("{}", to: name) }
    _ = camera.take()
    device.gate.presence.press()
    let order = try bench.order(device)
    await #expect(throws: Problem.self) { try await device.claim(order, ClaimPermissions(pin: { _ in }, wipe: {})) }
    #expect(device.standing.phase == .provisioned)
    let seen = try await phases(camera.take(), wiped: true)
    #expect(Set(seen.keys) == [.owned, .provisioned], "\(seen)")
  }

  @Test func repairIsWholeOrStillDamaged() async throws {
    let device = try await load()
    try await bench.provision(device)
    try await bench.claim(device)
    bench.folder.remove("operational.key")
    bench.identity.remove("device.key")
    camera.commit()
    _ = camera.take()
    let damaged = try await load()
    #expect(damaged.standing.phase == .damaged)
    try await bench.provision(damaged)
    let seen = try await phases(camera.take(), wiped: true)
    #expect(Set(seen.keys) == [.damaged, .provisioned], "\(seen)")
  }
}
