/// The device's API v1, typed, over one connection.
public struct DeviceClient {
  /// What it speaks over.
  public let connection: DeviceConnection

  public init(_ connection: DeviceConnection) { self.connection = connection }

  /// `GET /v1/info`
  public func info() async throws(OperatorError) -> DeviceInfo { try await get(DeviceInfo.self, "/v1/info") }
  /// `GET /v1/status`
  public func status() async throws(OperatorError) -> DeviceStatus { try await get(DeviceStatus.self, "/v1/status") }
  /// `GET /v1/readings`: the latest of each name.
  public func readings() async throws(OperatorError) -> [Reading] { try await get(ReadingList.self, "/v1/readings").readings }
  /// `GET /v1/actuators`
  public func actuators() async throws(OperatorError) -> [Actuator] { try await get(ActuatorList.self, "/v1/actuators").actuators }
  /// `GET /v1/inputs`
  public func inputs() async throws(OperatorError) -> [Input] { try await get(InputList.self, "/v1/inputs").inputs }
  /// `GET /v1/logs`: the records whose sequence is greater than `after`.
  public func logs(after: UInt64 = 0) async throws(OperatorError) -> LogPage { try await get(LogPage.self, "/v1/logs?after=\(after)") }

  /// `GET /v1/events`: what the device still has of them.
  public func events() async throws(OperatorError) -> EventPage { try await get(EventPage.self, "/v1/events") }
  /// `GET /v1/guard`
  public func guardState() async throws(OperatorError) -> GuardState { try await get(GuardState.self, "/v1/guard") }
  /// `GET /v1/cloud`
  public func cloudState() async throws(OperatorError) -> CloudState { try await get(CloudState.self, "/v1/cloud") }

  /// `PUT /v1/actuators/{name}`: the state that the device has driven.
  ///
  /// - Throws: `bad-argument` for a name that no actuator can have, and what the exchange throws.
  public func set(_ name: String, on: Bool) async throws(OperatorError) -> Actuator {
    try await send(
      Actuator.self, DeviceRequest(.put, "/v1/actuators/" + (try Self.segment(name)), body: try encode(ActuatorChange(on: on))))
  }

  /// Each new reading, until `each` gives false.
  public func followReadings(_ each: (Reading) async throws(OperatorError) -> Bool) async throws(OperatorError) {
    try await follow("/v1/readings") { (event, request) throws(OperatorError) in
      guard event.name == "reading" else { return true }
      return try await each(try read(Reading.self, event, request))
    }
  }
  /// Each event, until `each` gives false.
  public func followEvents(_ each: (DeviceEvent) async throws(OperatorError) -> Bool) async throws(OperatorError) {
    try await follow("/v1/events") { (event, request) throws(OperatorError) in
      switch event.name {
      case "input": try await each(.input(try read(Input.self, event, request)))
      case "grade": try await each(.grade(try read(GradeEvent.self, event, request)))
      case "cloud": try await each(.cloud(try read(CloudEvent.self, event, request)))
      case "claim": try await each(.claim(try read(ClaimEvent.self, event, request)))
      case "storage": try await each(.storage(try read(StorageEvent.self, event, request)))
      case "peer": try await each(.peer(try read(PeerEvent.self, event, request)))
      case "discovery": try await each(.discovery(try read(DiscoveryEvent.self, event, request)))
      default: true
      }
    }
  }
  /// The log's records whose sequence is greater than `after` and then each new one, until `each` gives false.
  public func followLogs(after: UInt64 = 0, _ each: (LogEntry) async throws(OperatorError) -> Bool) async throws(OperatorError) {
    try await follow("/v1/logs?after=\(after)") { (event, request) throws(OperatorError) in
      guard event.name == "log" else { return true }
      return try await each(try read(LogEntry.self, event, request))
    }
  }

  func get<Value: Decodable>(_ type: Value.Type, _ path: String) async throws(OperatorError) -> Value {
    try await send(type, DeviceRequest(.get, path))
  }

  func send<Value: Decodable>(_ type: Value.Type, _ request: DeviceRequest) async throws(OperatorError) -> Value {
    try decode(type, try await connection.exchange(request), of: request, by: connection.endpoint)
  }

  /// Gives each event of the stream to `each`, which lets pass what it does not know: a later device may send events of other names.
  private func follow(
    _ path: String, _ each: (ServerSentEvent, DeviceRequest) async throws(OperatorError) -> Bool
  ) async throws(OperatorError) {
    let request = DeviceRequest(.get, path, wantsEvents: true)
    var goesOn = true
    try await connection.events(request) { (event) throws(OperatorError) in
      goesOn = try await each(event, request)
      return goesOn
    }
    if goesOn { throw OperatorError("connection-lost", "\(connection.endpoint) ended the stream \(request.description)") }
  }

  private func read<Value: Decodable>(_ type: Value.Type, _ event: ServerSentEvent, _ request: DeviceRequest) throws(OperatorError) -> Value {
    let answer = DeviceResponse(status: 200, mediaType: "application/json", body: Array(event.data.utf8))
    return try decode(type, answer, of: request, by: connection.endpoint)
  }

  /// A name as one segment of a path. Names of actuators are plain words: what is none is refused here, so that it cannot become another path.
  static func segment(_ name: String) throws(OperatorError) -> String {
    let plain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
      case UInt8(ascii: "-"), UInt8(ascii: "_"): true
      default: false
      }
    }
    guard plain, (1...64).contains(name.utf8.count) else {
      throw OperatorError("bad-argument", "'\(printable(name.prefix(64)))' is no name of an actuator: 1 to 64 letters, digits, '-' or '_'")
    }
    return name
  }
}
