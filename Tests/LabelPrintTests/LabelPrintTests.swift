import Foundation
import LabelPrint
import Testing

/// The texts that a label may have: short, usual, the longest serial number.
private let texts = [
  "HAECHI:1:A:\(String(repeating: "0", count: 64)):00041061050R3GG28A1C60T3GF6Q",
  "HAECHI:1:KB-000001:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F:7ZZZZZZZZZZZZZZZZZZZZZZZZZ0R",
  "HAECHI:1:\(String(repeating: "W9-.", count: 16)):\(String(repeating: "F", count: 64)):00041061050R3GG28A1C60T3GF6Q",
]

/// What zbarimg, which shares no line with libqrencode, reads in an image file.
private func decoded(_ image: [UInt8], suffix: String) async throws -> String {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("haechi-label-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  let file = folder.appendingPathComponent("label." + suffix)
  try Data(image).write(to: file)
  let output = folder.appendingPathComponent("output")
  _ = FileManager.default.createFile(atPath: output.path, contents: nil)
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["zbarimg", "--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable", file.path]
  process.standardOutput = try FileHandle(forWritingTo: output)
  process.standardError = FileHandle.nullDevice
  try process.run()
  for _ in 0..<2400 where process.isRunning { try await Task.sleep(nanoseconds: 50_000_000) }
  if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  return String(decoding: try Data(contentsOf: output), as: UTF8.self)
}

/// What a terminal with a dark ground and a light pen shows, as a portable grey map of 8 dots a module (netpbm's PGM).
private func screen(_ lines: [String]) throws -> [UInt8] {
  var rows: [[UInt8]] = []
  for line in lines {
    var upper: [UInt8] = []
    var lower: [UInt8] = []
    for character in line {
      switch character {
      case "█": (upper, lower) = (upper + [255], lower + [255])
      case "▀": (upper, lower) = (upper + [255], lower + [0])
      case "▄": (upper, lower) = (upper + [0], lower + [255])
      case " ": (upper, lower) = (upper + [0], lower + [0])
      default: Issue.record("a character that is no half block: \(character)")
      }
    }
    rows += [upper, lower]
  }
  let width = try #require(rows.first).count
  #expect(rows.allSatisfy { $0.count == width })
  var image = Array("P5 \(width * 8) \(rows.count * 8) 255\n".utf8)
  for row in rows {
    let line = row.flatMap { [UInt8](repeating: $0, count: 8) }
    for _ in 0..<8 { image += line }
  }
  return image
}

@Suite struct LabelPrintTests {
  @Test(arguments: texts) func thePictureReadsAsTheLabel(_ text: String) async throws {
    let image = try PNGImage.encode(try QRCode(text))
    #expect(image.prefix(8) == [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
    #expect(try await decoded(image, suffix: "png") == text + "\n")
  }

  @Test(arguments: texts) func theTerminalReadsAsTheLabel(_ text: String) async throws {
    let code = try QRCode(text)
    let lines = code.lines(coloured: false)
    #expect(lines.count == (code.width + 1) / 2 && code.width <= 80, "it fits into the usual terminal")
    #expect(try await decoded(try screen(lines), suffix: "pgm") == text + "\n")
    #expect(code.lines(coloured: true).map { String($0.dropFirst(8).dropLast(4)) } == lines, "colours are around a line and change nothing in it")
  }

  /// Alphanumeric mode: a usual label is no larger than version 6 (41 modules), which bytes would not fit into.
  @Test func aLabelIsSmall() throws {
    #expect(try QRCode(texts[1]).width <= 41 + 8)
    #expect(try QRCode(texts[1]).width < QRCode(texts[1].lowercased()).width)
  }

  @Test func theQuietZoneIsLight() throws {
    let code = try QRCode(texts[1])
    for index in 0..<(4 * code.width) { #expect(!code.isDark[index] && !code.isDark[code.isDark.count - 1 - index]) }
    for row in 0..<code.width {
      for column in 0..<4 { #expect(!code.isDark[row * code.width + column] && !code.isDark[row * code.width + code.width - 1 - column]) }
    }
  }

  @Test func whatDoesNotFitIsRefused() throws {
    for text in ["", "a\u{0}b", String(repeating: "A", count: 5000)] {
      #expect { try QRCode(text) } throws: { ($0 as? LabelPrintError)?.code == "label-too-long" }
    }
    let code = try QRCode("A")
    for scale in [0, -1, 33] { #expect { try PNGImage.encode(code, scale: scale) } throws: { ($0 as? LabelPrintError)?.code == "image-failed" } }
  }
}
