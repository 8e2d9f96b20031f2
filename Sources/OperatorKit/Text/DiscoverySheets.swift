extension Sheet {
  /// Devices that announce themselves.
  public static func found(_ devices: [FoundDevice]) -> [String] {
    if devices.isEmpty { return ["no device announces itself here; an admin switches that on with: haechi discovery on --device …"] }
    return table([["device", "address", "known as"]] + devices.map { [$0.deviceId, $0.endpoint.description, $0.alias ?? "-"] })
  }
}
