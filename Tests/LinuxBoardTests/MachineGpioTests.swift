import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// LinuxGpio on the kernel's GPIO simulator: what it drives and what is pulled from outside is seen in sysfs.
@Suite(.serialized, .enabled(if: TestMachine.isHere, TestMachine.whyNot))
struct MachineGpioTests {
  let board = TestMachine.board
  private static let label = "haechi-sim"

  /// The board's lines, open.
  nonisolated(unsafe) private static let opened: Result<any Gpio, any Error> = Result {
    let board = TestMachine.board
    try board.gpio.open(board.lines)
    return board.gpio
  }

  /// The folder of a line in sysfs (Documentation/admin-guide/gpio/gpio-sim.rst).
  private func line(_ offset: Int) -> String {
    let configuration = "/sys/kernel/config/gpio-sim/\(Self.label)"
    func text(_ path: String) -> String { String(kernelFile(path).filter { $0 != "\n" }) }
    return "/sys/devices/platform/\(text(configuration + "/dev_name"))/\(text(configuration + "/bank0/chip_name"))/sim_gpio\(offset)"
  }

  /// What someone outside measures on a line.
  private func level(_ offset: Int) -> String { kernelFile(line(offset) + "/value") }

  private func pull(_ offset: Int, up: Bool) throws { try TestMachine.write(up ? "pull-up" : "pull-down", to: line(offset) + "/pull") }

  /// Waits on the descriptors as the supervisor does, until `count` events came or five seconds passed without one.
  private func events(_ gpio: any Gpio, count: Int) throws -> [LineEvent] {
    var taken: [LineEvent] = []
    while taken.count < count {
      var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      guard poll(&waiting, nfds_t(waiting.count), 5_000) > 0 else { break }
      taken += try gpio.takeEvents()
    }
    return taken
  }

  @Test func aRelayIsDrivenAndMadeSafe() throws {
    let gpio = try Self.opened.get()
    #expect(level(0) == "0\n")
    try gpio.set("relay", to: true)
    #expect(level(0) == "1\n")
    #expect(try gpio.value(of: "relay"))
    try gpio.set("status-led", to: true)
    #expect(level(1) == "1\n")
    #expect(gpio.driveSafe() == [])
    #expect(level(0) == "0\n")
    #expect(level(1) == "0\n")
    #expect(try gpio.value(of: "relay") == false)
  }

  @Test func aPressIsOneEvent() throws {
    let gpio = try Self.opened.get()
    for isPressed in [true, false] {
      let before_us = BootClock.now_us()
      try pull(2, up: isPressed)
      let events = try events(gpio, count: 1)
      #expect(events.map(\.name) == ["button"])
      #expect(events.map(\.value) == [isPressed])
      #expect(events.allSatisfy { $0.at_us >= before_us && $0.at_us <= BootClock.now_us() })
      #expect(try gpio.value(of: "button") == isPressed)
      #expect(try gpio.takeEvents() == [])
    }
  }

  @Test func linesThatAreNotThereAreRefused() throws {
    let gpio = try Self.opened.get()
    #expect(throws: BoardError.self) { try gpio.set("button", to: true) }
    #expect(throws: BoardError.self) { try gpio.set("pump", to: true) }
    #expect(throws: BoardError.self) { try gpio.value(of: "pump") }
    #expect(throws: BoardError.self) { try gpio.open(board.lines) }
  }

  /// A release image wires the machine's own chip, on which nothing is soldered: what is driven is read back.
  @Test func theMachinesOwnChipIsThereForRelease() throws {
    let relay = LineDescription(name: "relay", role: .output(safe: false))
    let button = LineDescription(name: "button", role: .input(debounce_us: 5_000))
    let gpio = LinuxGpio(wiring: [
      LineWiring(relay, chipLabel: "9030000.pl061", position: .offset(0)),
      LineWiring(button, chipLabel: "9030000.pl061", position: .offset(2)),
    ])
    try gpio.open([relay, button])
    #expect(try gpio.value(of: "relay") == false)
    try gpio.set("relay", to: true)
    #expect(try gpio.value(of: "relay"))
    #expect(gpio.driveSafe() == [])
    #expect(try gpio.value(of: "relay") == false)
    #expect(try gpio.value(of: "button") == false)
    #expect(gpio.eventDescriptors.count == 1)
    #expect(try gpio.takeEvents() == [])
  }

  /// Someone else's request of the same line, a chip that is not there, a line that the chip has not.
  @Test func whatCannotBeOpenedIsNamed() throws {
    _ = try Self.opened.get()
    let relay = LineDescription(name: "relay", role: .output(safe: false))
    let wrong: [(LineWiring, String, String)] = [
      (LineWiring(relay, chipLabel: Self.label, position: .named("relay")), "line-taken", "relay of “haechi-sim”"),
      (LineWiring(relay, chipLabel: Self.label, position: .named("pump")), "line-missing", "no line named “pump”"),
      (LineWiring(relay, chipLabel: Self.label, position: .offset(8)), "line-missing", "relay of “haechi-sim”"),
      (LineWiring(relay, chipLabel: "other", position: .offset(0)), "line-missing", "no GPIO chip “other”"),
    ]
    for (wire, code, words) in wrong {
      let error = #expect(throws: BoardError.self) { try LinuxGpio(wiring: [wire]).open([relay]) }
      #expect(error?.code == code)
      #expect(error?.reason.contains(words) == true, "\(error?.reason ?? "")")
    }
  }

  /// A contact that bounces and comes to rest pressed is one press, and a pulse shorter than the debounce time is none.
  @Test func theKernelDebounces() throws {
    // Long enough that the pulls below all fall into one debounce time, in an emulated machine too.
    let contact = LineDescription(name: "contact", role: .input(debounce_us: 1_500_000))
    let gpio = LinuxGpio(wiring: [LineWiring(contact, chipLabel: Self.label, position: .offset(5))])
    try gpio.open([contact])
    for _ in 0..<5 {
      try pull(5, up: true)
      try pull(5, up: false)
    }
    try pull(5, up: true)
    #expect(try events(gpio, count: 1).map(\.value) == [true])
    #expect(try gpio.takeEvents() == [])
    try pull(5, up: false)
    try pull(5, up: true)
    var waiting = gpio.eventDescriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    #expect(poll(&waiting, nfds_t(waiting.count), 2_000) == 0)
  }

  /// A line that is active when low is turned round in both directions, from its first moment on.
  @Test func activeLowIsTurnedRound() throws {
    let valve = LineDescription(name: "valve", role: .output(safe: false))
    let contact = LineDescription(name: "contact", role: .input(debounce_us: 1_000))
    let gpio = LinuxGpio(wiring: [
      LineWiring(valve, chipLabel: Self.label, position: .offset(6), isActiveLow: true),
      LineWiring(contact, chipLabel: Self.label, position: .offset(7), isActiveLow: true),
    ])
    try gpio.open([valve, contact])
    #expect(level(6) == "1\n")
    try gpio.set("valve", to: true)
    #expect(level(6) == "0\n")
    #expect(try gpio.value(of: "contact"))
    try pull(7, up: true)
    #expect(try events(gpio, count: 1).map(\.value) == [false])
  }
}
