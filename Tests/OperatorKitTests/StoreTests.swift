import FoundationEssentials
import Testing

@testable import OperatorKit

/// A folder of its own for one test, gone afterwards.
final class TemporaryFolder: Sendable {
  let path: String
  init() throws {
    path = NSTemporaryFolderName() + "/haechi-test-" + UUID().uuidString
    try PrivateFiles.makeFolder(path)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

private func NSTemporaryFolderName() -> String {
  let named = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
  return named.hasSuffix("/") ? String(named.dropLast()) : named
}

func mode(_ path: String) throws -> Int {
  let attributes = try FileManager.default.attributesOfItem(atPath: path)
  return (attributes[.posixPermissions] as? Int ?? (attributes[.posixPermissions] as? UInt16).map(Int.init) ?? -1) & 0o7777
}

@Suite struct PrivateFilesTests {
  @Test func foldersAndFilesArePrivate() throws {
    let folder = try TemporaryFolder()
    try PrivateFiles.makeFolder(folder.path + "/a/b")
    try PrivateFiles.write([1, 2, 3], to: folder.path + "/a/b/key", existing: .refuse)
    #expect(try mode(folder.path + "/a") == 0o700)
    #expect(try mode(folder.path + "/a/b") == 0o700)
    #expect(try mode(folder.path + "/a/b/key") == 0o600)
    #expect(try PrivateFiles.read(folder.path + "/a/b/key", isPrivate: true) == [1, 2, 3])
  }

  @Test func nothingIsOverwrittenSilentlyAndNothingIsLeftBehind() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try PrivateFiles.write([1], to: path, existing: .refuse)
    #expect { try PrivateFiles.write([2], to: path, existing: .refuse) } throws: {
      ($0 as? OperatorError)?.code == "file-exists" && ($0 as? OperatorError)?.reason.contains(path) == true
    }
    #expect(try PrivateFiles.read(path) == [1])
    try PrivateFiles.write([3], to: path, existing: .replace)
    #expect(try PrivateFiles.read(path) == [3])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
  }

  /// A dangling link is a name that is taken: it must not be followed to a place of somebody else's choice.
  @Test func aLinkIsNotWrittenThrough() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/key"
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: folder.path + "/elsewhere")
    #expect { try PrivateFiles.write([1], to: path, existing: .refuse) } throws: { ($0 as? OperatorError)?.code == "file-exists" }
    #expect(!PrivateFiles.exists(folder.path + "/elsewhere"))
  }

  @Test func aKeyThatOthersCanReadIsRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/key"
    try PrivateFiles.write([1], to: path, existing: .refuse, mode: 0o644)
    #expect { try PrivateFiles.read(path, isPrivate: true) } throws: {
      ($0 as? OperatorError)?.reason.contains("chmod 600 \(path)") == true
    }
  }

  @Test func whatIsNoFileIsNamed() throws {
    let folder = try TemporaryFolder()
    #expect { try PrivateFiles.read(folder.path + "/none") } throws: { ($0 as? OperatorError)?.code == "file-missing" }
    #expect { try PrivateFiles.read(folder.path) } throws: { ($0 as? OperatorError)?.code == "file-malformed" }
    try PrivateFiles.write([], to: folder.path + "/plain", existing: .refuse)
    #expect { try PrivateFiles.makeFolder(folder.path + "/plain/below") } throws: {
      ($0 as? OperatorError)?.reason.contains(folder.path + "/plain") == true
    }
    try PrivateFiles.write([UInt8](repeating: 0, count: PrivateFiles.largestFile_bytes + 1), to: folder.path + "/large", existing: .refuse)
    #expect { try PrivateFiles.read(folder.path + "/large") } throws: { ($0 as? OperatorError)?.code == "file-malformed" }
  }
}

@Suite struct DeviceBookTests {
  private let one = KnownDevice(deviceId: "0123456789abcdef0123", alias: "attic", address: "10.0.0.1:8443")
  private let two = KnownDevice(deviceId: "fedcba98765432100000", address: "10.0.0.2:8443")

  @Test func remembersAcrossProcesses() throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path + "/home/")
    #expect(try DeviceBook.load(home).devices.isEmpty)
    try DeviceBook.update(home) { (book) throws(OperatorError) in try book.remember(one) }
    try DeviceBook.update(home) { (book) throws(OperatorError) in try book.remember(two) }
    #expect(try DeviceBook.load(home).devices == [one, two])
    #expect(try mode(home.devicesFile) == 0o600)
    try DeviceBook.update(home) { (book) throws(OperatorError) in
      var moved = one
      moved.alias = nil
      moved.address = "10.0.0.9:8443"
      try book.remember(moved)
      let first = book.forget(two.deviceId)
      let second = book.forget(two.deviceId)
      #expect(first && !second)
    }
    #expect(try DeviceBook.load(home).devices == [KnownDevice(deviceId: one.deviceId, alias: "attic", address: "10.0.0.9:8443")])
  }

  @Test func manyWritersLoseNothing() async throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<20 {
        group.addTask {
          let id = String(repeating: "0", count: 18) + (number < 10 ? "0" : "") + String(number)
          try DeviceBook.update(home) { (book) throws(OperatorError) in
            try book.remember(KnownDevice(deviceId: id, address: "h:\(number + 1)"))
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try DeviceBook.load(home).devices.count == 20)
  }

  @Test func choosesWhatWasMeant() throws {
    var book = DeviceBook()
    #expect { try book.choose(nil) } throws: { ($0 as? OperatorError)?.code == "unknown-device" }
    try book.remember(one)
    #expect(try book.choose(nil) == .known(one))
    try book.remember(two)
    #expect { try book.choose(nil) } throws: {
      ($0 as? OperatorError)?.code == "ambiguous-device" && ($0 as? OperatorError)?.reason.contains("attic") == true
    }
    #expect(try book.choose("attic") == .known(one))
    #expect(try book.choose("FEDCBA98765432100000") == .known(two))
    #expect(try book.choose("10.0.0.2:8443") == .known(two))
    #expect(try book.choose("10.0.0.3") == .address(Endpoint(host: "10.0.0.3", port: 8443)))
    #expect { try book.choose("00000000000000000000") } throws: { ($0 as? OperatorError)?.code == "unknown-device" }
    #expect { try book.choose("not an address") } throws: { ($0 as? OperatorError)?.code == "bad-argument" }
  }

  @Test(arguments: ["", "-x", "a b", "0123456789abcdef0123", String(repeating: "a", count: 41), "a:1", "é"])
  func badAliasesAreRefused(_ alias: String) {
    #expect {
      var book = DeviceBook()
      try book.remember(KnownDevice(deviceId: "0123456789abcdef0123", alias: alias, address: "h:1"))
    } throws: { ($0 as? OperatorError)?.code == "bad-argument" }
  }

  /// After a device was replaced, or a simulated one made anew, its address says nothing about the old one.
  @Test func whoAnswersAtAnAddressIsWhoCameLast() throws {
    var book = DeviceBook()
    try book.remember(one)
    try book.remember(KnownDevice(deviceId: two.deviceId, address: "10.0.0.1:8443"))
    #expect(book.devices.map(\.address) == [nil, "10.0.0.1:8443"])
    #expect(try book.choose(nil) == .known(KnownDevice(deviceId: two.deviceId, address: "10.0.0.1:8443")))
    #expect(try book.choose("10.0.0.1") == .known(KnownDevice(deviceId: two.deviceId, address: "10.0.0.1:8443")))
    try book.moved(one.deviceId, to: Endpoint(host: "10.0.0.7", port: 1))
    #expect(book.devices.first?.address == "10.0.0.7:1")
  }

  @Test func twoDevicesCannotShareAnAlias() throws {
    #expect {
      var book = DeviceBook()
      try book.remember(one)
      try book.remember(KnownDevice(deviceId: two.deviceId, alias: "attic", address: "h:1"))
    } throws: { ($0 as? OperatorError)?.reason.contains(one.deviceId) == true }
  }

  @Test(arguments: [
    ("{", "not JSON"), ("[]", "the whole text"), (#"{"version":1}"#, "'devices' is missing"), (#"{"version":2,"devices":[]}"#, "version 2"),
    (#"{"version":1,"devices":[{"deviceId":"x","address":"h:1"}]}"#, "'x' is no device id"),
    (#"{"version":1,"devices":[{"deviceId":7}]}"#, "devices[0].deviceId"),
    (#"{"version":1,"devices":[{"deviceId":"0123456789abcdef0123","address":"h:0"}]}"#, "port"),
  ])
  func aBrokenFileIsNamedWithItsField(_ content: String, _ expected: String) throws {
    let folder = try TemporaryFolder()
    let home = OperatorHome(path: folder.path)
    try PrivateFiles.write(Array(content.utf8), to: home.devicesFile, existing: .refuse)
    #expect { try DeviceBook.load(home) } throws: { error in
      let reason = (error as? OperatorError)?.reason ?? ""
      return reason.contains(expected) && (expected == "port" || reason.contains(home.devicesFile))
    }
    #expect { try DeviceBook.update(home) { (book) throws(OperatorError) in try book.remember(one) } } throws: { $0 is OperatorError }
    #expect(try PrivateFiles.read(home.devicesFile) == Array(content.utf8), "a file that is not understood is left as it is")
  }

  @Test func theHomeIsWhereTheSurroundingsSay() throws {
    #expect(try OperatorHome(environment: ["HAECHI_HOME": "/h/", "HOME": "/x"]).path == "/h")
    #expect(try OperatorHome(environment: ["XDG_CONFIG_HOME": "/c", "HOME": "/x"]).path == "/c/haechi")
    #expect(try OperatorHome(environment: ["XDG_CONFIG_HOME": "c", "HOME": "/x"]).path == "/x/.config/haechi")
    #expect { try OperatorHome(environment: [:]) } throws: { ($0 as? OperatorError)?.reason.contains("HAECHI_HOME") == true }
  }
}
