import Foundations
import Glibc
import LocalAPI
import NIOPosix
import Testing
import Vault

@testable import DeviceCore

/// What counts as a storage that takes nothing, and how often it is told.
@Suite struct StorageHealthTests {
  private let folder = TestFolder()
  private let log = DeviceLog()
  private let events = EventJournal()

  private var health: StorageHealth { StorageHealth(path: folder.path, log: log, events: events) }
  private func failure(_ number: CInt) -> SystemCallError { SystemCallError("write", number: number, subject: "owner.json") }
  private var told: [String] { events.document().events.compactMap(\.storage?.state) }

  @Test func errorsOfTheMediumAreToldFromOthers() {
    let faults: [(CInt, StorageFault?)] = [
      (ENOSPC, .full), (EDQUOT, .full), (EROFS, .readOnly), (EIO, .failing), (ENXIO, .failing), (EUCLEAN, .failing), (EACCES, nil), (EISDIR, nil), (EFBIG, nil),
    ]
    for (number, fault) in faults {
      #expect(StorageFault(failure(number)) == fault, "\(number)")
      #expect(StorageFault(VaultError("no-space", "", cause: failure(number))) == fault)
      let problem = Problem.notKept(failure(number), "The device could not keep it.")
      #expect(problem.code == fault?.rawValue ?? "unavailable" && problem.status == (fault == .full ? 507 : 503))
      #expect(problem.detail.hasPrefix("The device could not keep it."))
    }
    // The vault's own bound is no matter of the medium.
    #expect(StorageFault(VaultError("vault-full", "")) == nil)
  }

  @Test func aFaultIsToldOnceAndTheWorstOfItsSignsStays() {
    let health = health
    health.failed(failure(EACCES))
    #expect(health.current == nil)
    for number in [ENOSPC, ENOSPC, EIO, ENOSPC, EROFS, EIO, EROFS, ENOSPC] { health.failed(failure(number)) }
    #expect(told == ["storage-full", "storage-failing", "storage-read-only"] && health.current?.fault == .readOnly)
    health.look()
    health.look()
    #expect(told.last == "storage-writable" && told.count == 4 && health.current == nil)
    #expect(folder.contents().isEmpty, "the probe is removed again")
    #expect(log.document(after: 0).records.count == 4)
  }

  @Test func whatCannotBeProbedStaysAFault() {
    let health = health
    health.failed(failure(EIO))
    // A folder where the probe would be written.
    #expect(mkdir(folder.path + "/probe.new", 0o700) == 0)
    health.look()
    #expect(health.current?.fault == .failing && told == ["storage-failing"])
    #expect(rmdir(folder.path + "/probe.new") == 0)
    health.look()
    #expect(health.current == nil)
  }

  @Test(.enabled(if: SmallVolume.isPossible)) func aFullStorageNeedsSomeRoomToBeWell() throws {
    let volume = try #require(SmallVolume())
    let health = StorageHealth(path: volume.folder.path, log: log, events: events)
    for number in 0..<40 { volume.folder.write("x", to: "\(number)") }
    volume.fill()
    health.look()
    // A page that comes and goes.
    for number in 0..<4 {
      volume.folder.remove("\(number)")
      health.look()
    }
    #expect(told == ["storage-full"])
    volume.makeRoom()
    health.look()
    #expect(told == ["storage-full", "storage-writable"])
    // Files may run out before bytes do.
    var number = 100
    while symlink("nowhere", "\(volume.folder.path)/\(number)") == 0 { number += 1 }
    health.look()
    #expect(told.last == "storage-full")
  }

  @Test(.enabled(if: SmallVolume.isPossible)) func theProductsDataIsBackWhenTheMediumIs() async throws {
    let volume = try #require(SmallVolume())
    let setting = RecordKind<String>("setting", purpose: "What the owner wants.")
    let threads = NIOThreadPool(numberOfThreads: 1)
    threads.start()
    let health = StorageHealth(path: volume.folder.path, log: log, events: events)
    func open() async throws -> ProductStore {
      try await ProductStore.open(
        folder: volume.folder.path, kinds: [setting.declaration], threads: threads, clock: WallClock(floor_s: 0), log: log, health: health)
    }
    let first = try await open()
    // More than the rest of a page.
    let long = String(repeating: "x", count: 9_000)
    try await first.put(setting, "19")
    volume.fill()
    do throws(VaultError) {
      try await first.put(setting, long)
      Issue.record("written")
    } catch { #expect(error.code == "no-space") }
    #expect(told == ["storage-full"])
    volume.makeRoom()
    health.look()
    try await first.put(setting, "21")
    await first.close(log)

    volume.setReadOnly(true)
    let second = try await open()
    let readable = try await second.get(setting)
    #expect(!second.isDamaged && readable == "21")
    do throws(VaultError) {
      try await second.put(setting, "22")
      Issue.record("written")
    } catch { #expect(error.code == "read-only") }
    health.look()
    #expect(told.last == "storage-read-only")
    volume.setReadOnly(false)
    health.look()
    let house = Task { await second.keepHouse(log) }
    try await eventually("it is opened again") { (try? await second.put(setting, "23")) != nil }
    house.cancel()
    await house.value
    await second.close(log)
    try await threads.shutdownGracefully()
  }
}
