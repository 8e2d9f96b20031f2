import SupervisorLink
import Synchronization
import Testing

@testable import OperatorKit

/// The station's step for a device whose storage is lost, against DeviceCore's own device; that it comes back is for the booted images to show.
@Suite(.serialized) final class RemakeTests {
  private let folder: TemporaryFolder
  private let home: OperatorHome
  private var patience = ClaimPatience()
  private let steps = Mutex<[RemakeStep]>([])

  init() throws {
    folder = try TemporaryFolder()
    home = OperatorHome(path: folder.path + "/home")
    _ = try MakerFolder.make(home.makerFolder, home: home)
    (patience.button_s, patience.restart_s, patience.poll_ms) = (1, 5, 20)
  }

  private func failure(_ device: TestDevice, remakes: Bool) async throws -> OperatorError? {
    let provisioning = try Provisioning(home: home, stationFolder: home.makerFolder)
    do {
      _ = try await provisioning.run(
        endpoint: device.endpoint, serialNumber: nil, remakes: remakes, patience: patience, tell: { step in steps.withLock { $0.append(step) } })
      return nil
    } catch { return error }
  }

  @Test func aLostStorageIsToldAndMadeAnewOnlyWithTheButton() async throws {
    let lost = StorageReport(state: .damaged, reason: "the partition ident is empty")
    try await TestDevice.with(makerFolder: home.makerFolder, storage: lost) { device in
      let plain = try await failure(device, remakes: false)
      #expect(plain?.refusal?.problem == "storage-lost" && plain?.reason.contains("/v1/storage/remake") == true)
      #expect(steps.withLock { $0 } == [])
      let untouched = try await failure(device, remakes: true)
      #expect(untouched?.code == "button-not-pressed" && untouched?.reason.contains("nothing was changed") == true)
      #expect(steps.withLock { $0 } == [.pressButton(within_s: 1)])
      device.answerRemakes(with: .failed)
      let answer1 = try await failure(device, remakes: true)
      #expect(answer1?.refusal?.problem == "unavailable")
      // This one does not restart.
      device.answerRemakes(with: .done)
      let away = try await failure(device, remakes: true)
      #expect(away?.code == "silent" && away?.reason.contains("it is 'damaged'") == true, "\(String(describing: away))")
      #expect(steps.withLock { $0.last } == .restarts)
      let answer2 = try await failure(device, remakes: true)
      #expect(answer2?.refusal?.problem == "restarting")
    }
  }

  @Test func aBlankDeviceHasNothingToBeMadeAnew() async throws {
    try await TestDevice.with(makerFolder: home.makerFolder) { device in
      let answer3 = try await failure(device, remakes: true)
      #expect(answer3?.refusal?.problem == "life-cycle-state")
      let answer4 = try await failure(device, remakes: false)
      #expect(answer4 == nil)
    }
  }
}
