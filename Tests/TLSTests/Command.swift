import Crypto
import Foundation
import Foundations
import Glibc
import Testing

/// A folder of its own for PEM files; removed when the last reference goes.
final class Folder: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("haechi-tls-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a credential and its authority; returns the arguments that name them to `openssl s_client` and `s_server`.
  func credential(_ credential: World.Credential, _ world: World) throws -> [String] {
    try credential.certificate.pem.write(toFile: path + "/own.pem", atomically: true, encoding: .utf8)
    try world.authority.certificate.pem.write(toFile: path + "/authority.pem", atomically: true, encoding: .utf8)
    let key = try credential.key.pem()
    try key.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: path + "/own.key")) }
    return ["-cert", path + "/own.pem", "-key", path + "/own.key", "-CAfile", path + "/authority.pem"]
  }
}

/// A run of the `openssl` command whose output goes to a file, so that it never waits for a reader.
final class Command {
  private let process = Process()
  private let folder: Folder
  private let input = Pipe()
  private var outputPath: String { folder.path + "/output" }

  private init(_ arguments: [String]) throws {
    folder = try Folder()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl"] + arguments
    _ = FileManager.default.createFile(atPath: folder.path + "/output", contents: nil)
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path + "/output"))
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
  }

  var text: String { (try? Data(contentsOf: URL(fileURLWithPath: outputPath))).map { String(decoding: $0, as: UTF8.self) } ?? "" }

  /// Starts `openssl` with its input open; the caller ends it.
  static func start(_ arguments: [String]) throws -> Command {
    let command = try Command(arguments)
    try command.process.run()
    return command
  }

  /// Runs `openssl` to its end with `input` on its standard input, which stays open meanwhile.
  static func openssl(_ arguments: [String], input: String) async throws -> Command {
    let command = try start(arguments)
    try command.type(input)
    for _ in 0..<2_400 where command.process.isRunning { try await Task.sleep(nanoseconds: 50_000_000) }
    command.end()
    return command
  }

  /// Writes `text` to its standard input.
  func type(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data(text.utf8)) }

  /// The port that `s_server` says it listens on.
  func port() async throws -> Int? {
    for _ in 0..<2_400 {
      for line in text.split(separator: "\n") where line.hasPrefix("ACCEPT") {
        if let port = line.split(separator: ":").last.flatMap({ Int($0) }) { return port }
      }
      try await Task.sleep(nanoseconds: 50_000_000)
    }
    return nil
  }

  /// Ends the process if it still runs. By SIGKILL: a process started from a worker thread inherits that the others are blocked.
  func end() {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }
}
