internal import CMosquitto
internal import Glibc

/// A list of MQTT 5 properties in libmosquitto's form; frees itself.
struct PropertyList: ~Copyable {
  private(set) var head: OpaquePointer?

  init() { head = nil }

  /// - Throws: `client-invalid` where libmosquitto cannot write one.
  init(_ properties: MQTTProperties) throws(MQTTError) {
    head = nil
    try check(properties.contentType.map { mosquitto_property_add_string(&head, CInt(MQTT_PROP_CONTENT_TYPE.rawValue), $0) })
    try check(properties.messageExpiry_s.map { mosquitto_property_add_int32(&head, CInt(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), $0) })
    try check(properties.responseTopic.map { mosquitto_property_add_string(&head, CInt(MQTT_PROP_RESPONSE_TOPIC.rawValue), $0) })
    try check(
      properties.correlationData.map {
        mosquitto_property_add_binary(&head, CInt(MQTT_PROP_CORRELATION_DATA.rawValue), $0, UInt16(clamping: $0.count))
      })
    for property in properties.user.prefix(MQTTProperties.maximumUserProperties) {
      try check(mosquitto_property_add_string_pair(&head, CInt(MQTT_PROP_USER_PROPERTY.rawValue), property.name, property.value))
    }
  }

  deinit {
    var head = head
    mosquitto_property_free_all(&head)
  }

  mutating func add(_ identifier: mqtt5_property, _ value: UInt32) throws(MQTTError) {
    try check(mosquitto_property_add_int32(&head, CInt(identifier.rawValue), value))
  }

  /// Gives the list away: the receiver frees it.
  consuming func release() -> OpaquePointer? {
    let head = self.head
    discard self
    return head
  }

  private func check(_ result: CInt?) throws(MQTTError) {
    guard let result, result != CInt(MOSQ_ERR_SUCCESS.rawValue) else { return }
    throw MQTTError("client-invalid", "a message's property cannot be written: \(libraryWords(result))")
  }
}

extension MQTTProperties {
  /// What a borrowed list of a message says. Total: a text that is not UTF-8 was refused by libmosquitto before.
  init(borrowing list: OpaquePointer?) {
    self.init()
    guard let list else { return }
    var text: UnsafeMutablePointer<CChar>?
    if mosquitto_property_read_string(list, CInt(MQTT_PROP_CONTENT_TYPE.rawValue), &text, false) != nil { contentType = take(&text) }
    if mosquitto_property_read_string(list, CInt(MQTT_PROP_RESPONSE_TOPIC.rawValue), &text, false) != nil { responseTopic = take(&text) }
    var number: UInt32 = 0
    if mosquitto_property_read_int32(list, CInt(MQTT_PROP_MESSAGE_EXPIRY_INTERVAL.rawValue), &number, false) != nil { messageExpiry_s = number }
    var bytes: UnsafeMutableRawPointer?
    var count: UInt16 = 0
    if mosquitto_property_read_binary(list, CInt(MQTT_PROP_CORRELATION_DATA.rawValue), &bytes, &count, false) != nil {
      correlationData = Array(UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : Int(count)))
      free(bytes)
    }
    var place: OpaquePointer? = list
    var isFirst = true
    while let current = place, user.count < Self.maximumUserProperties {
      var name: UnsafeMutablePointer<CChar>?
      var value: UnsafeMutablePointer<CChar>?
      place = mosquitto_property_read_string_pair(current, CInt(MQTT_PROP_USER_PROPERTY.rawValue), &name, &value, !isFirst)
      // The first may be the head itself, which is then passed over like any other.
      isFirst = false
      guard place != nil else { break }
      user.append(MQTTUserProperty(name: take(&name) ?? "", value: take(&value) ?? ""))
    }
  }
}

/// The text of a copy that libmosquitto made for us; frees it.
private func take(_ copy: inout UnsafeMutablePointer<CChar>?) -> String? {
  defer {
    free(copy)
    copy = nil
  }
  return copy.map { String(cString: $0) }
}

/// libmosquitto's words for one of its results.
func libraryWords(_ result: CInt) -> String { mosquitto_strerror(result).map { String(cString: $0) } ?? "result \(result)" }
