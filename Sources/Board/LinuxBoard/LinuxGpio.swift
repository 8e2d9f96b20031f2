internal import BoardAPI
internal import Foundations
internal import Glibc

#if HAECHI_DEVICE_LIBRARIES
  internal import CGpiod
#endif

#if HAECHI_DEVICE_LIBRARIES
  /// The lines of a board through the kernel's GPIO character device, version 2, by libgpiod 2.
  ///
  /// Outputs are requested together with their safe value, so that no line is driven otherwise even for a moment. Inputs are debounced and
  /// time-stamped by the kernel.
  final class LinuxGpio: Gpio {
    /// As the protocol says.
    private static let maximumEvents = 64

    private struct Line {
      let request: LineRequest
      let offset: UInt32
      /// The safe value of an output; nil for an input.
      let safe: Bool?
    }

    private let wiring: [LineWiring]
    private var lines: [String: Line] = [:]
    private var inputs: [InputRequest] = []

    init(wiring: [LineWiring]) { self.wiring = wiring }

    func open(_ lines: [LineDescription]) throws(BoardError) {
      guard self.lines.isEmpty else { throw BoardError(code: "lines-taken", reason: "the board's lines are open already: open them once") }
      var wired: [LineWiring] = []
      for line in lines {
        guard let wire = wiring.first(where: { $0.description == line }) else {
          throw BoardError(code: "line-missing", reason: "this board wires no line “\(line.name)” of that kind")
        }
        wired.append(wire)
      }
      var opened: [String: Line] = [:]
      var openedInputs: [InputRequest] = []
      for label in Set(wired.map(\.chipLabel)).sorted() {
        let chip = try GpioChip(label: label)
        let onChip = wired.filter { $0.chipLabel == label }
        var outputs: [(wire: LineWiring, offset: UInt32)] = []
        var inputs: [(wire: LineWiring, offset: UInt32)] = []
        for wire in onChip {
          let offset = try chip.offset(of: wire)
          if case .output = wire.description.role { outputs.append((wire, offset)) } else { inputs.append((wire, offset)) }
        }
        if !outputs.isEmpty {
          let request = try LineRequest(chip, outputs)
          for (wire, offset) in outputs {
            guard case .output(let safe) = wire.description.role else { continue }
            opened[wire.description.name] = Line(request: request, offset: offset, safe: safe)
          }
        }
        if !inputs.isEmpty {
          let request = try LineRequest(chip, inputs)
          for (wire, offset) in inputs { opened[wire.description.name] = Line(request: request, offset: offset, safe: nil) }
          let names = Dictionary(inputs.map { ($0.offset, $0.wire.description.name) }, uniquingKeysWith: { first, _ in first })
          openedInputs.append(try InputRequest(request, names: names, capacity: Self.maximumEvents))
        }
      }
      self.lines = opened
      inputs = openedInputs
    }

    func set(_ name: String, to value: Bool) throws(BoardError) {
      guard let line = lines[name], line.safe != nil else {
        throw BoardError(code: "unknown-line", reason: "“\(name)” is no output of this board that is open")
      }
      try line.request.set(line.offset, to: value, name: name)
    }

    func value(of name: String) throws(BoardError) -> Bool {
      guard let line = lines[name] else { throw BoardError(code: "unknown-line", reason: "“\(name)” is no line of this board that is open") }
      return try line.request.value(line.offset, name: name)
    }

    func driveSafe() -> [String] {
      var failed: [String] = []
      for (name, line) in lines.sorted(by: { $0.key < $1.key }) {
        guard let safe = line.safe else { continue }
        do {
          try line.request.set(line.offset, to: safe, name: name)
        } catch {
          failed.append(name)
        }
      }
      return failed
    }

    var eventDescriptors: [CInt] { inputs.map(\.descriptor) }

    func takeEvents() throws(BoardError) -> [LineEvent] {
      var events: [LineEvent] = []
      for input in inputs where events.count < Self.maximumEvents {
        events += try input.take(atMost: Self.maximumEvents - events.count)
      }
      return events.sorted { $0.at_us < $1.at_us }
    }
  }

  /// An open chip. Lines that were requested of it stay when it is closed.
  private final class GpioChip {
    fileprivate let pointer: OpaquePointer
    private let label: String

    /// Character devices that are looked through for a label; boards have a handful of chips.
    private static let maximumChips = 32

    init(label: String) throws(BoardError) {
      for number in 0..<Self.maximumChips {
        guard let chip = gpiod_chip_open("/dev/gpiochip\(number)") else { continue }
        if Self.label(of: chip) == label {
          pointer = chip
          self.label = label
          return
        }
        gpiod_chip_close(chip)
      }
      throw BoardError(code: "line-missing", reason: "this machine has no GPIO chip “\(label)”: has the kernel its driver, and is this the right board?")
    }

    deinit { gpiod_chip_close(pointer) }

    private static func label(of chip: OpaquePointer) -> String? {
      guard let info = gpiod_chip_get_info(chip) else { return nil }
      defer { gpiod_chip_info_free(info) }
      return String(cString: gpiod_chip_info_get_label(info))
    }

    func offset(of wire: LineWiring) throws(BoardError) -> UInt32 {
      switch wire.position {
      case .offset(let offset): return offset
      case .named(let name):
        let offset = gpiod_chip_get_line_offset_from_name(pointer, name)
        guard offset >= 0 else {
          throw BoardError(code: "line-missing", reason: "the GPIO chip “\(label)” has no line named “\(name)” for “\(wire.description.name)”")
        }
        return UInt32(offset)
      }
    }

    func failure(_ wires: [LineWiring]) -> BoardError {
      let number = errno
      let names = wires.map(\.description.name).joined(separator: ", ")
      return .system(
        code: number == EBUSY ? "line-taken" : "line-missing", call: "request of GPIO lines", subject: "\(names) of “\(label)”", number: number)
    }
  }

  /// Lines of one chip that are ours until this goes.
  private final class LineRequest {
    fileprivate let pointer: OpaquePointer

    init(_ chip: GpioChip, _ lines: [(wire: LineWiring, offset: UInt32)]) throws(BoardError) {
      let wires = lines.map(\.wire)
      guard let configuration = gpiod_line_config_new() else { throw chip.failure(wires) }
      defer { gpiod_line_config_free(configuration) }
      for (wire, offset) in lines {
        guard let settings = gpiod_line_settings_new() else { throw chip.failure(wires) }
        defer { gpiod_line_settings_free(settings) }
        gpiod_line_settings_set_active_low(settings, wire.isActiveLow)
        switch wire.description.role {
        case .output(let safe):
          gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_OUTPUT)
          gpiod_line_settings_set_output_value(settings, safe ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE)
        case .input(let debounce_us):
          gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_INPUT)
          gpiod_line_settings_set_edge_detection(settings, GPIOD_LINE_EDGE_BOTH)
          gpiod_line_settings_set_event_clock(settings, GPIOD_LINE_CLOCK_MONOTONIC)
          gpiod_line_settings_set_debounce_period_us(settings, UInt(debounce_us))
        }
        var offsets = [offset]
        guard gpiod_line_config_add_line_settings(configuration, &offsets, 1, settings) == 0 else { throw chip.failure(wires) }
      }
      guard let request = gpiod_request_config_new() else { throw chip.failure(wires) }
      defer { gpiod_request_config_free(request) }
      gpiod_request_config_set_consumer(request, "haechi")
      guard let pointer = gpiod_chip_request_lines(chip.pointer, request, configuration) else { throw chip.failure(wires) }
      self.pointer = pointer
    }

    deinit { gpiod_line_request_release(pointer) }

    func set(_ offset: UInt32, to value: Bool, name: String) throws(BoardError) {
      guard gpiod_line_request_set_value(pointer, offset, value ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE) == 0 else {
        throw .system(code: "line-failed", call: "setting of GPIO line", subject: name, number: errno)
      }
    }

    func value(_ offset: UInt32, name: String) throws(BoardError) -> Bool {
      switch gpiod_line_request_get_value(pointer, offset) {
      case GPIOD_LINE_VALUE_ACTIVE: return true
      case GPIOD_LINE_VALUE_INACTIVE: return false
      default: throw .system(code: "line-failed", call: "reading of GPIO line", subject: name, number: errno)
      }
    }
  }

  /// The inputs of one chip and room for their events.
  private final class InputRequest {
    private let request: LineRequest
    private let names: [UInt32: String]
    private let buffer: OpaquePointer
    let descriptor: CInt

    init(_ request: LineRequest, names: [UInt32: String], capacity: Int) throws(BoardError) {
      guard let buffer = gpiod_edge_event_buffer_new(capacity) else {
        throw .system(code: "line-failed", call: "gpiod_edge_event_buffer_new", subject: "inputs", number: errno)
      }
      self.request = request
      self.names = names
      self.buffer = buffer
      descriptor = gpiod_line_request_get_fd(request.pointer)
    }

    deinit { gpiod_edge_event_buffer_free(buffer) }

    /// The events that are there, without waiting.
    func take(atMost maximum: Int) throws(BoardError) -> [LineEvent] {
      switch gpiod_line_request_wait_edge_events(request.pointer, 0) {
      case 0: return []
      case 1: break
      default: throw failure()
      }
      let count = gpiod_line_request_read_edge_events(request.pointer, buffer, maximum)
      guard count >= 0 else { throw failure() }
      let sinceStart_us = Self.suspended_us()
      return (0..<UInt(count)).compactMap { index in
        guard let event = gpiod_edge_event_buffer_get_event(buffer, index), let name = names[gpiod_edge_event_get_line_offset(event)] else { return nil }
        return LineEvent(
          name: name, value: gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE,
          at_us: gpiod_edge_event_get_timestamp_ns(event) / 1_000 + sinceStart_us)
      }
    }

    /// The kernel stamps events with CLOCK_MONOTONIC, which stands still while the machine sleeps; `BootClock` does not.
    private static func suspended_us() -> UInt64 {
      var monotonic = timespec()
      clock_gettime(CLOCK_MONOTONIC, &monotonic)
      let monotonic_us = UInt64(monotonic.tv_sec) * 1_000_000 + UInt64(monotonic.tv_nsec) / 1_000
      let boot_us = BootClock.now_us()
      // Read one after the other, so they differ by some microseconds also where nothing slept: that is not worth counting.
      return boot_us > monotonic_us + 1_000 ? boot_us - monotonic_us : 0
    }

    private func failure() -> BoardError {
      .system(code: "line-failed", call: "reading of GPIO events", subject: names.values.sorted().joined(separator: ", "), number: errno)
    }
  }
#else
  /// Stands where this program was built without libgpiod 2: it opens no line and says why.
  final class LinuxGpio: Gpio {
    init(wiring: [LineWiring]) {}

    private static let absence = BoardError(
      code: "not-built-in", reason: "this program was built without libgpiod 2: cross-build it for the device to use GPIO lines")

    func open(_ lines: [LineDescription]) throws(BoardError) { throw Self.absence }
    func set(_ name: String, to value: Bool) throws(BoardError) { throw Self.absence }
    func value(of name: String) throws(BoardError) -> Bool { throw Self.absence }
    func driveSafe() -> [String] { [] }
    var eventDescriptors: [CInt] { [] }
    func takeEvents() throws(BoardError) -> [LineEvent] { [] }
  }
#endif
