import Crypto
import Foundations
import Glibc
import Identity
import LocalAPI
import Synchronization
import Testing

@testable import DeviceCore

/// A renewal that cannot be written, and one that a wipe meets.
extension DeviceLifeCycleTests {
  // MARK: What cannot be written

  /// A folder where the next content of `name` would be written: it cannot be.
  private func obstruct(_ name: String) { #expect(mkdir("\(folder.path)/\(name).new", 0o700) == 0) }
  private func clear(_ name: String) { #expect(rmdir("\(folder.path)/\(name).new") == 0) }

  @Test func whatWasProvedIsNotReplacedUntilItIsWritten() async throws {
    let device = try await owned()
    let former = try shown(device)
    let fresh = try answer(device)
    try device.installRenewal(chainPEM: fresh.pem)
    obstruct("owner.json")
    device.renewalProved(fresh)
    #expect(try shown(device) == former && folder.read("renewal.json")?.contains("proved") == true)
    // The tool saw nothing of it, and somebody begins anew.
    let another = try answer(device)
    #expect(await code { try device.installRenewal(chainPEM: another.pem) } == "renewal-completing")
    #expect(folder.read("renewal.json")?.contains("proved") == true)
    clear("owner.json")
    #expect(try shown(try await load()) == fresh, "a start completes it")
    device.checkRenewal()
    #expect(try shown(device) == fresh)
  }

  @Test func aCandidateWhoseFilesWereTakenIsGone() async throws {
    let device = try await owned()
    let former = try shown(device)
    let first = try answer(device)
    try device.installRenewal(chainPEM: first.pem)
    let second = try answer(device)
    obstruct("renewal.json")
    #expect(await code { try device.installRenewal(chainPEM: second.pem) } == "unavailable")
    #expect(try device.credential().renewal == .offered)
    device.renewalProved(first)
    clear("renewal.json")
    device.checkRenewal()
    #expect(try shown(device) == former)
    #expect(try shown(try await load()) == former)
    // The same answer again is taken.
    let third = try answer(device)
    try device.installRenewal(chainPEM: third.pem)
    device.renewalProved(third)
    #expect(try shown(try await load()) == third)
  }

  // MARK: Beside a wipe

  /// Who reads that the new certificate is in use connects again to see it.
  @Test func aRenewedCertificateIsSaidOnceThePortShowsIt() async throws {
    let device = try await owned()
    let former = try shown(device)
    let fresh = try answer(device)
    try device.installRenewal(chainPEM: fresh.pem)
    let said = Mutex<[String]>([])
    device.onCredentials { [weak device] isAdopted in
      guard isAdopted, let serial = try? device?.credential().certificate.serialNumber else { return }
      said.withLock { $0.append(serial) }
    }
    device.renewalProved(fresh)
    #expect(said.withLock { $0 } == [hexadecimal(former.serialNumber)])
    #expect(try device.credential().certificate.serialNumber == hexadecimal(fresh.serialNumber))
    #expect(try device.credentials().candidate == nil)
  }

  /// What a renewal writes, a wipe does not come between.
  @Test func nothingElseChangesTheDeviceWhileARenewalIsWritten() async throws {
    _ = try await owned()
    let subject = Mutex<Device?>(nil)
    let outcomes = Mutex<[String?]>([])
    let device = try await Device.load(
      identity: IdentityFolder(path: identity.path),
      state: StateFolder(
        path: folder.path,
        onStep: {
          guard let device = subject.withLock({ $0 }) else { return }
          do throws(Problem) {
            _ = try device.begin([.owned])
            device.end()
            outcomes.withLock { $0.append(nil) }
          } catch {
            outcomes.withLock { $0.append(error.code) }
          }
        }), maker: maker.authority, clock: testClock, log: DeviceLog(), grades: grades)
    subject.withLock { $0 = device }
    let fresh = try answer(device)
    try device.installRenewal(chainPEM: fresh.pem)
    device.renewalProved(fresh)
    #expect(try shown(device) == fresh)
    try device.installRenewal(chainPEM: try answer(device).pem, now_ms: 0)
    device.checkRenewal(now_ms: Device.renewalTrial_ms)
    subject.withLock { $0 = nil }
    let steps = outcomes.withLock { $0 }
    #expect(steps.count > 20 && steps.allSatisfy { $0 == "life-cycle-busy" }, "\(steps)")
    // And it is free again.
    try device.beginOwned(by: owner.issuer.certificate)
    device.end()
  }

  /// A renewal that is proved, or begun, in the midst of a wipe leaves nothing of the former owner in the emptied folder.
  @Test func aRenewalInTheMidstOfAWipeWritesNothing() async throws {
    _ = try await owned()
    let subject = Mutex<Device?>(nil)
    let next = Mutex<(Certificate, Certificate)?>(nil)
    let codes = Mutex<[String?]>([])
    let device = try await load(
      testClock,
      Device.Surroundings(commitIdentity: {
        guard let device = subject.withLock({ $0 }), let (candidate, another) = next.withLock({ $0 }) else { return }
        device.renewalProved(candidate)
        do throws(Problem) {
          _ = try device.renewalOffer(binding: [UInt8](repeating: 7, count: 32))
          try device.installRenewal(chainPEM: another.pem)
          codes.withLock { $0.append(nil) }
        } catch {
          codes.withLock { $0.append(error.code) }
        }
      }))
    let candidate = try answer(device)
    try device.installRenewal(chainPEM: candidate.pem)
    let another = try answer(device)
    next.withLock { $0 = (candidate, another) }
    subject.withLock { $0 = device }
    try await device.transfer(connection: 1, caller: "ada") {}
    #expect(codes.withLock { $0 } == ["life-cycle-busy", "life-cycle-busy"])
    device.checkRenewal()
    #expect(device.standing.phase == .provisioned && folder.contents().isEmpty, "\(folder.contents().keys)")
    #expect(try await load().standing.phase == .provisioned)
  }

  @Test func aWipeThatWasCutOffGoesOnWhateverARenewalLeft() async throws {
    for left in ["{", "{\"chain\":\"\",\"phase\":\"proved\",\"version\":1}"] {
      let bench = try DeviceLifeCycleTests(of: self)
      _ = try await bench.owned()
      bench.folder.write(left, to: "renewal.json")
      try IdentityFolder(path: bench.identity.path).write(StoredIntent(kind: .wipe))
      let device = try await bench.load()
      #expect(device.standing.phase == .provisioned && bench.folder.contents().isEmpty, "\(left): \(device.standing.damage ?? "")")
    }
  }

  @Test func theFolderOfADamagedDeviceStaysAsItWas() async throws {
    let device = try await owned()
    try device.installRenewal(chainPEM: try answer(device).pem)
    identity.remove("device.key")
    let before = folder.contents()
    #expect(before["renewal.json"] != nil)
    #expect(try await load().standing.phase == .damaged)
    #expect(folder.contents() == before)
  }
}
