internal import CQrencode
public import Foundations

/// Why a label cannot be drawn.
///
/// Codes: `label-too-long`, `image-failed`.
public struct LabelPrintError: HaechiError {
  public let code: String
  public let reason: String
  public var cause: (any Error)? { nil }

  init(_ code: String, _ reason: String) {
    self.code = code
    self.reason = reason
  }
}

/// A QR code (ISO/IEC 18004) as its modules, with the quiet zone around it.
public struct QRCode: Equatable, Sendable {
  /// Modules a side, the quiet zone included.
  public let width: Int
  /// Row by row from the top, true for dark: `width` times `width` of them.
  public let isDark: [Bool]

  /// The quiet zone: ISO/IEC 18004 section 9.1 asks for 4 modules.
  static let quietZone = 4

  /// The smallest code that holds `text` with level M, which 15 % of the modules may be lost of: a label in a factory is not held behind glass.
  ///
  /// Capital letters, digits and ` $%*+-./:` take 5.5 bits each (alphanumeric mode), other bytes take 8.
  ///
  /// - Throws: `label-too-long` where no version holds it (at most 3391 capital letters).
  public init(_ text: String) throws(LabelPrintError) {
    guard !text.isEmpty, !text.utf8.contains(0), let code = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1) else {
      throw LabelPrintError("label-too-long", "a text of \(text.utf8.count) bytes does not fit into a QR code")
    }
    defer { QRcode_free(code) }
    let side = Int(code.pointee.width)
    let full = side + 2 * Self.quietZone
    var isDark = [Bool](repeating: false, count: full * full)
    for row in 0..<side {
      for column in 0..<side {
        // The lowest bit is the colour; the others say what the module is for.
        isDark[(row + Self.quietZone) * full + column + Self.quietZone] = code.pointee.data[row * side + column] & 1 == 1
      }
    }
    width = full
    self.isDark = isDark
  }

  /// Lines for a terminal, two rows of modules in each by half blocks. What is light is drawn, so that a terminal with a dark background shows the code as it is.
  ///
  /// - Parameter coloured: fixes white on black by ECMA-48 SGR, for a terminal of any colours; a file gets none.
  public func lines(coloured: Bool) -> [String] {
    stride(from: 0, to: width, by: 2).map { row in
      var line = coloured ? "\u{1b}[97;40m" : ""
      for column in 0..<width {
        let upper = !isDark[row * width + column]
        // Below the last row, where their number is odd, there is the terminal's own ground.
        let lower = row + 1 < width && !isDark[(row + 1) * width + column]
        line += upper ? (lower ? "█" : "▀") : (lower ? "▄" : " ")
      }
      return line + (coloured ? "\u{1b}[0m" : "")
    }
  }
}
