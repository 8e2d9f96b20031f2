/// Seconds since 1970-01-01T00:00:00Z of an RFC 3339 date and time (`2026-03-01T12:00:00.250Z`, `…+02:00`); nil for anything else.
public func seconds(rfc3339 text: String) -> Int64? {
  let bytes = Array(text.utf8)
  guard bytes.count >= 20, bytes.count <= 40 else { return nil }
  func number(_ range: Range<Int>) -> Int? {
    var value = 0
    for byte in bytes[range] {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      value = value * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return value
  }
  guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
    let minute = number(14..<16),
    let second = number(17..<19), bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"), bytes[13] == UInt8(ascii: ":"),
    bytes[16] == UInt8(ascii: ":"),
    [UInt8(ascii: "T"), UInt8(ascii: "t")].contains(bytes[10]), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
    second <= 60
  else { return nil }
  var index = 19
  if bytes[index] == UInt8(ascii: ".") {
    let first = index + 1
    index = first
    while index < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[index]) { index += 1 }
    guard index > first else { return nil }
  }
  guard index < bytes.count else { return nil }
  var offset_s = 0
  switch bytes[index] {
  case UInt8(ascii: "Z"), UInt8(ascii: "z"):
    guard bytes.count == index + 1 else { return nil }
  case UInt8(ascii: "+"), UInt8(ascii: "-"):
    guard bytes.count == index + 6, bytes[index + 3] == UInt8(ascii: ":"), let hours = number(index + 1..<index + 3),
      let minutes = number(index + 4..<index + 6),
      hours < 24, minutes < 60
    else { return nil }
    offset_s = (hours * 3600 + minutes * 60) * (bytes[index] == UInt8(ascii: "+") ? 1 : -1)
  default: return nil
  }
  return days(year: year, month: month, day: day) * 86_400 + Int64(hour * 3600 + minute * 60 + second - offset_s)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that the leap day is a year's last.
private func days(year: Int, month: Int, day: Int) -> Int64 {
  let shifted = month <= 2 ? year - 1 : year
  let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
  let leapDays = shifted / 4 - shifted / 100 + shifted / 400
  return Int64(shifted * 365 + leapDays + dayOfYear - 719_468)
}

/// `2026-03-01T12:00:00Z` of seconds since 1970-01-01T00:00:00Z; for the years 1 to 9999.
public func rfc3339(seconds: Int64) -> String {
  let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
  let inDay = Int(seconds - days * 86_400)
  // The inverse of the sum above, by 400-year eras of 146097 days.
  let shifted = days + 719_468
  let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
  let dayOfEra = Int(shifted - era * 146_097)
  let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let marchMonth = (5 * dayOfYear + 2) / 153
  let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
  let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  let year = yearOfEra + Int(era) * 400 + (month <= 2 ? 1 : 0)
  func padded(_ value: Int, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
  return
    "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(inDay / 3600, 2)):\(padded(inDay % 3600 / 60, 2)):\(padded(inDay % 60, 2))Z"
}

/// The time of day of an RFC 3339 text, `12:00:00`; the text itself where it is none.
func timeOfDay(_ text: String) -> String {
  guard seconds(rfc3339: text) != nil else { return printable(text) }
  return String(text.dropFirst(11).prefix(8))
}
