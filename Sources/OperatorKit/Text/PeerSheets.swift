extension Sheet {
  /// From this many days before its end on a device's certificate is worth a word.
  static let credentialWarning_s: Int64 = 30 * 86_400

  /// What is to be said of a device's certificate; nothing where it has time.
  ///
  /// - Parameter now_s: this machine's clock, seconds since 1970.
  public static func credentialWarning(_ credential: CredentialState, now_s: Int64) -> [String] {
    guard let end_s = seconds(rfc3339: credential.certificate.notAfter) else { return [] }
    let (left_s, overflow) = end_s.subtractingReportingOverflow(now_s)
    guard !overflow, left_s < credentialWarning_s else { return [] }
    let when = printable(credential.certificate.notAfter)
    if left_s < 0 { return ["warning: the device's certificate (LDevID) ended at \(when); renew it with: haechi renew"] }
    return ["warning: the device's certificate (LDevID) ends in \(left_s / 86_400) days, at \(when); renew it with: haechi renew"]
  }

  /// A list of peers, two lines or more each.
  public static func peers(_ peers: [PeerState]) -> [String] {
    if peers.isEmpty { return ["no peers; tell it of one with: haechi peer add"] }
    return peers.flatMap { peer in
      var line = "\(printable(peer.deviceId))  \(printable(peer.state))"
      if let address = peer.address { line += ", \(printable(peer.link)) (\(broker(address, peer.port)))" }
      var lines = [line]
      if peer.state == "approved" { lines.append("  may have  \(peer.scope.isEmpty ? "nothing" : peer.scope.map { printable($0) }.joined(separator: ", "))") }
      if let error = peer.error { lines.append("  last try  \(printable(error.code)): \(printable(error.reason))") }
      lines += peer.readings.map { reading in
        "  gives     \(printable(reading.name)) \(decimal(reading.value, digits: 2)) \(printable(reading.unit)) at \(printable(reading.time))"
          + (reading.simulated ? " (simulated)" : "")
      }
      return lines
    }
  }

  static func peer(_ event: PeerEvent) -> String {
    var line = "peer \(printable(event.deviceId)) is \(printable(event.state))"
    if let code = event.code { line += " (\(printable(code))\(event.reason.map { ": \(printable($0))" } ?? ""))" }
    return line
  }

  /// What became of the certificate before.
  public static func former(_ done: RenewedDevice) -> [String] {
    switch (done.revocationList, done.notWithdrawn.map { printable($0) }) {
    case (nil, nil): []
    case (nil, let reason?): ["warning: the certificate before still counts with your other devices until it ends: \(reason)"]
    case (let number?, nil): ["the certificate before is withdrawn by list \(number); other devices hear of it at the next: haechi member push"]
    case (let number?, let reason?):
      ["warning: list \(number) withdraws the certificate before, and no device has it yet: \(reason); later: haechi member push"]
    }
  }
}
