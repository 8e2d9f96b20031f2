internal import COpenSSL

/// The last second of the year 9999, as IEEE 802.1AR section 8.7 writes a certificate without an end; seconds since 1970 UTC.
public let noEnd_s: Int64 = 253_402_300_799

/// Seconds since 1970-01-01T00:00:00Z of a borrowed `ASN1_TIME`, nil where it is no time.
func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
  guard let time, let epoch = ASN1_TIME_set(nil, 0) else { return nil }
  defer { ASN1_TIME_free(epoch) }
  var days: CInt = 0
  var rest: CInt = 0
  guard ASN1_TIME_diff(&days, &rest, epoch, time) == 1 else { return nil }
  return Int64(days) * 86_400 + Int64(rest)
}

/// `time_s` (seconds since 1970 UTC) as RFC 3339 in UTC: `2026-01-31T12:00:00Z`. Years 0…9999; others are given as seconds.
public func rfc3339(_ time_s: Int64) -> String {
  guard (-62_167_219_200...noEnd_s).contains(time_s) else { return "\(time_s) s since 1970" }
  let day = time_s >= 0 ? time_s / 86_400 : (time_s - 86_399) / 86_400
  let second = time_s - day * 86_400
  // Days to a civil date in the proleptic Gregorian calendar, by 400-year eras that start on 1 March of year 0.
  let shifted = day + 719_468
  let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
  let dayOfEra = shifted - era * 146_097
  let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
  let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
  let monthFromMarch = (5 * dayOfYear + 2) / 153
  let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
  let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfYear - (153 * monthFromMarch + 2) / 5 + 1, 2))"
  return "\(date)T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))Z"
}
