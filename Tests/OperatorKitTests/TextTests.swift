import Testing

@testable import OperatorKit

@Suite struct TextTests {
  @Test func addressesInTheirForms() throws {
    let cases: [(String, String, Int)] = [
      ("127.0.0.1:8443", "127.0.0.1", 8443), ("device.local", "device.local", 8443), ("[::1]:9000", "::1", 9000),
      ("[fe80::1%eth0]", "fe80::1%eth0", 8443),
      ("::1", "::1", 8443), ("haechi-0123456789abcdef0123:1", "haechi-0123456789abcdef0123", 1),
    ]
    for (text, host, port) in cases {
      #expect(try Endpoint(text) == Endpoint(host: host, port: port), "\(text)")
      let parsed = try Endpoint(text)
      #expect(try Endpoint(parsed.description) == parsed, "an address reads back as itself")
    }
    #expect(try Endpoint("[fe80::1%eth0]:1").authority == "[fe80::1]:1")
  }

  @Test(arguments: [
    "", ":1", "host:", "host:0", "host:65536", "host:+1", "host:99999999999999999999", "[::1", "[::1]x", "ho st", "a/b", "a\nb", "a@b",
    "https://a",
  ])
  func whatIsNoAddressIsRefused(_ text: String) {
    #expect { try Endpoint(text) } throws: { ($0 as? OperatorError)?.code == "bad-argument" }
  }

  @Test func wordsOfADeviceCannotSteerTheTerminal() {
    #expect(printable("a\u{1b}[2Jb\r\n\u{9b}c\u{202e}d\u{7f}") == "a\\u{1b}[2Jb\\u{d}\\u{a}\\u{9b}c\\u{202e}d\\u{7f}")
    #expect(printable("21,5 °C 해치") == "21,5 °C 해치")
  }

  @Test func aDeviceSaysWhereItsKeyIs() {
    var info = DeviceInfo(
      deviceId: "00112233445566778899", manufacturer: "Haechi", model: "node", hardwareModel: "virtual", firmwareVersion: "1", variant: "host",
      apiVersions: ["v1"], lifeCycleState: "owned")
    // Firmware of before does not say.
    #expect(!Sheet.info(info).contains { $0.contains("identity key") })
    for (place, words) in [("tpm", "in its TPM"), ("file", "in a file"), ("\u{1b}", "\\u{1b}")] {
      info.identityKey = place
      #expect(Sheet.info(info).contains { $0.contains("identity key") && $0.hasSuffix(words) })
    }
  }

  @Test func spansAndSizes() {
    #expect(durationText(microseconds: 420) == "420 µs")
    #expect(durationText(microseconds: 1_250) == "1.3 ms" || durationText(microseconds: 1_250) == "1.2 ms")
    #expect(durationText(microseconds: 12_000) == "12 ms")
    #expect(durationText(microseconds: 1_400_000) == "1.4 s")
    #expect(durationText(microseconds: 59_949_999) == "59.9 s")
    #expect(durationText(microseconds: 59_990_000) == "1 min 0 s")
    #expect(durationText(microseconds: 192_000_000) == "3 min 12 s")
    #expect(durationText(microseconds: 7_500_000_000) == "2 h 5 min")
    #expect(durationText(microseconds: 4 * 86_400_000_000 + 3 * 3_600_000_000) == "4 d 3 h")
    #expect(durationText(microseconds: .max).hasSuffix(" h"), "the largest number does not trap")
    #expect(bytesText(512) == "512 B")
    #expect(bytesText(11_000_000) == "11.0 MB")
    #expect(bytesText(.max).hasSuffix(" GB"))
  }

  @Test func decimals() {
    #expect(decimal(21.456, digits: 2) == "21.46")
    #expect(decimal(-0.05, digits: 1) == "-0.1")
    #expect(decimal(-0.01, digits: 1) == "0.0" || decimal(-0.01, digits: 1) == "-0.0")
    #expect(decimal(0.007, digits: 2) == "0.01")
    #expect(decimal(1e300, digits: 2) == "1e+300")
    #expect(decimal(.nan, digits: 2) == "nan")
    #expect(decimal(-.infinity, digits: 2) == "-inf")
    #expect(decimal(5, digits: 0) == "5")
  }

  @Test func timesOfTheAPI() {
    #expect(seconds(rfc3339: "1970-01-01T00:00:00Z") == 0)
    #expect(seconds(rfc3339: "2000-02-29T12:00:00Z") == 951_825_600)
    #expect(seconds(rfc3339: "2026-11-23T23:36:41.250Z") == seconds(rfc3339: "2026-11-24T01:36:41+02:00"))
    for text in [
      "", "2026-11-23", "2026-11-23T23:36:41", "2026-13-01T00:00:00Z", "2026-11-23 23:36:41Z", "2026-11-23T23:36:41.Z",
      "2026-11-23T23:36:41Zx", "２０２６-11-23T23:36:41Z",
    ] {
      #expect(seconds(rfc3339: text) == nil, "\(text)")
    }
  }

  @Test func columnsLineUp() {
    #expect(table([["a", "1"], ["bcd", "23"]], rightAligned: [1]) == ["a     1", "bcd  23"])
    #expect(table([]) == [])
    #expect(table([["a"], ["b", "c"]]) == ["a", "b  c"])
  }

  @Test func aClockThatDiffersIsTold() {
    #expect(Sheet.clock("1970-01-01T00:01:40Z", now_s: 100) == "1970-01-01T00:01:40Z")
    #expect(Sheet.clock("1970-01-01T00:01:40Z", now_s: 400).hasSuffix("5 min 0 s behind this machine"))
    #expect(Sheet.clock("2970-01-01T00:01:40Z", now_s: 0).hasSuffix("ahead of this machine"))
    #expect(Sheet.clock("\u{1b}", now_s: 0) == "\\u{1b}")
  }
}

@Suite struct LiveViewTests {
  private let reading = Reading(name: "temperature", value: 21.5, unit: "Cel", time: "2026-11-23T12:00:01Z", simulated: true)

  @Test func linesWithoutATerminal() {
    var view = LiveView(name: "node")
    var lines: [String]
    lines = view.take(.reading(reading), time: "12:00:01")
    #expect(lines == ["12:00:01  temperature  21.50 °C  (simulated)"])
    lines = view.take(.actuators([Actuator(name: "relay", on: false, safe: false)]), time: "12:00:02")
    #expect(lines == ["12:00:02  relay is off (safe: off)"])
    lines = view.take(.actuators([Actuator(name: "relay", on: false, safe: false)]), time: "12:00:04")
    #expect(lines == [])
    lines = view.take(.actuators([Actuator(name: "relay", on: true, safe: false)]), time: "12:00:06")
    #expect(lines == ["12:00:06  relay is on (safe: off)"])
    lines = view.take(.event(.input(Input(name: "button", active: true))), time: "12:00:07")
    #expect(lines == ["12:00:07  button is active"])
    lines = view.take(.trouble("gone"), time: "12:00:08")
    #expect(lines == ["12:00:08  gone"])
    lines = view.take(.trouble("gone"), time: "12:00:09")
    #expect(lines == [])
    lines = view.take(.trouble(nil), time: "12:00:10")
    #expect(lines == ["12:00:10  connected again"])
  }

  @Test func thePictureFitsAndSaysEverything() {
    var view = LiveView(name: "node")
    for step in 0..<100 {
      var next = reading
      next.value = Double(step)
      _ = view.take(.reading(next), time: "12:00:00")
    }
    _ = view.take(.actuators([Actuator(name: "relay", on: true, safe: false)]), time: "12:00:00")
    _ = view.take(.inputs([Input(name: "button", active: false)]), time: "12:00:00")
    let picture = view.picture(width: 60)
    #expect(picture.allSatisfy { $0.count <= 60 })
    #expect(picture.contains { $0.hasPrefix("temperature  99.00  °C  ") })
    #expect(picture.contains("relay   on       (safe: off)"))
    #expect(picture.last == "Ctrl-C ends this. In another terminal try: haechi set relay off".prefix(60).description)
    #expect(LiveView.curve([0, 1]) == "▁█")
    #expect(LiveView.curve([3, 3, 3]) == "▄▄▄")
    #expect(LiveView.curve([.nan, 1, .infinity]).count == 3)
  }

  @Test func aFloodOfNamesIsBounded() {
    var view = LiveView(name: "node")
    for number in 0..<1_000 {
      _ = view.take(.reading(Reading(name: "r\(number)", value: 1, unit: "", time: "", simulated: false)), time: "")
      _ = view.take(.event(.input(Input(name: "i\(number)", active: true))), time: "")
    }
    #expect(view.picture(width: 80).count < 100)
  }

  @Test func theScreenRedrawsInPlaceAndOnlyWhenNeeded() {
    var screen = Screen()
    var text = screen.redraw(["a", "b"], height: 24)
    #expect(text == "a\u{1b}[K\nb\u{1b}[K\n")
    text = screen.redraw(["a", "b"], height: 24)
    #expect(text == "")
    text = screen.redraw(["c"], height: 24)
    #expect(text == "\u{1b}[2A\rc\u{1b}[K\n\u{1b}[J")
    text = screen.redraw(["1", "2", "3", "4"], height: 3)
    #expect(text == "\u{1b}[1A\r1\u{1b}[K\n2\u{1b}[K\n", "what is taller than the screen is cut")
  }
}
