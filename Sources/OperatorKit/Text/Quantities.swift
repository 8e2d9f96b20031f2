/// A span of time as a person reads it: `420 µs`, `12 ms`, `1.4 s`, `3 min 12 s`, `2 h 5 min`, `4 d 3 h`.
public func durationText(microseconds: UInt64) -> String {
  switch microseconds {
  case ..<1_000: return "\(microseconds) µs"
  case ..<1_000_000: return "\(decimal(Double(microseconds) / 1_000, digits: microseconds < 10_000 ? 1 : 0)) ms"
  // Rounded before it is compared, or 59.97 s would read as 60.0 s.
  case ..<59_950_000: return "\(decimal(Double(microseconds) / 1_000_000, digits: 1)) s"
  default: break
  }
  let seconds = microseconds / 1_000_000 + (microseconds % 1_000_000 >= 500_000 ? 1 : 0)
  switch seconds {
  case ..<3_600: return "\(seconds / 60) min \(seconds % 60) s"
  case ..<86_400: return "\(seconds / 3_600) h \(seconds % 3_600 / 60) min"
  default: return "\(seconds / 86_400) d \(seconds % 86_400 / 3_600) h"
  }
}

/// A count of bytes in decimal units: `512 B`, `11.0 MB`.
public func bytesText(_ bytes: UInt64) -> String {
  switch bytes {
  case ..<1_000: "\(bytes) B"
  case ..<999_500: "\(decimal(Double(bytes) / 1e3, digits: bytes < 100_000 ? 1 : 0)) kB"
  case ..<999_500_000: "\(decimal(Double(bytes) / 1e6, digits: bytes < 100_000_000 ? 1 : 0)) MB"
  default: "\(decimal(Double(bytes) / 1e9, digits: 1)) GB"
  }
}

/// `value` with `digits` places after the point, 0…6; what no place can show (too large, not a number) is shown as Swift writes it.
public func decimal(_ value: Double, digits: Int) -> String {
  let digits = min(max(digits, 0), 6)
  var scale = 1.0
  for _ in 0..<digits { scale *= 10 }
  let scaled = (value * scale).rounded()
  // 2⁵³: beyond it a double has no places after the point, and an integer conversion could trap.
  guard scaled.magnitude < 9_007_199_254_740_992 else { return String(value) }
  let whole = Int64(scaled.magnitude)
  let sign = scaled < 0 ? "-" : ""
  guard digits > 0 else { return sign + String(whole) }
  let text = String(whole)
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
  return sign + padded.dropLast(digits) + "." + padded.suffix(digits)
}

/// A measured value: two places are finer than the sensors that a node carries.
func measure(_ reading: Reading) -> String { decimal(reading.value, digits: 2) }

/// The unit as people write it; the API's units are UCUM codes, which mostly are that already.
public func unitText(_ unit: String) -> String {
  switch unit {
  case "Cel": "°C"
  case "[degF]": "°F"
  case "Ohm": "Ω"
  default: printable(unit)
  }
}

/// Lines with columns of equal width, two spaces between; the last column is not padded.
public func table(_ rows: [[String]], rightAligned: Set<Int> = []) -> [String] {
  var widths: [Int] = []
  for row in rows {
    for (column, cell) in row.enumerated() {
      if column == widths.count { widths.append(0) }
      widths[column] = max(widths[column], cell.count)
    }
  }
  return rows.map { row in
    var line = ""
    for (column, cell) in row.enumerated() {
      let padding = String(repeating: " ", count: widths[column] - cell.count)
      let isLast = column == row.count - 1
      line += rightAligned.contains(column) ? padding + cell : cell + (isLast ? "" : padding)
      if !isLast { line += "  " }
    }
    return line
  }
}
