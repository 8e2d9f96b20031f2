internal import CHaechi

/// Turns a `SystemCallPolicy` into a classic BPF program over `struct seccomp_data` (kernel Documentation/userspace-api/seccomp_filter.rst).
enum SeccompFilter {
  // linux/bpf_common.h: load a word at an absolute offset, jump if equal, and, return.
  static let load: UInt16 = 0x20
  static let jumpIfEqual: UInt16 = 0x15
  static let and: UInt16 = 0x54
  static let give: UInt16 = 0x06
  // linux/seccomp.h
  static let allow: UInt32 = 0x7fff_0000
  static let killProcess: UInt32 = 0x8000_0000
  static let errnoBase: UInt32 = 0x0005_0000
  // Offsets in struct seccomp_data.
  static let numberOffset: UInt32 = 0
  static let architectureOffset: UInt32 = 4
  static let firstArgumentOffset: UInt32 = 16

  /// The audit number of the one architecture that this image runs on. x86_64's 32-bit calls and x32 numbers
  /// (bit 30) match nothing below and die.
  #if arch(x86_64)
    static let architecture: UInt32 = 0xc000_003e
  #elseif arch(arm64)
    static let architecture: UInt32 = 0xc000_00b7
  #endif

  static func assemble(_ policy: SystemCallPolicy) -> [sock_filter] {
    var program = [
      step(load, architectureOffset),
      sock_filter(code: jumpIfEqual, jt: 1, jf: 0, k: architecture),
      step(give, killProcess),
      step(load, numberOffset),
    ]
    for number in policy.free { program += [sock_filter(code: jumpIfEqual, jt: 0, jf: 1, k: UInt32(number)), step(give, allow)] }
    for number in policy.missing {
      program += [sock_filter(code: jumpIfEqual, jt: 0, jf: 1, k: UInt32(number)), step(give, errnoBase | 38)]  // ENOSYS
    }
    for rule in policy.bounded { program += block(rule) }
    program.append(step(give, killProcess))
    return program
  }

  /// The call's number is in the accumulator before it, and again after it where the number is another.
  private static func block(_ rule: SystemCallPolicy.Bounded) -> [sock_filter] {
    let refusal: UInt32 =
      switch rule.otherwise {
      case .kill: killProcess
      case .fails(let errno): errnoBase | UInt32(errno)
      }
    var body: [sock_filter] = []
    for condition in rule.conditions { body += test(condition, refusal: refusal) }
    body.append(step(give, allow))
    // A block is far shorter than the 255 instructions that one jump can pass; SeccompFilterTests looks at each.
    return [sock_filter(code: jumpIfEqual, jt: 0, jf: UInt8(clamping: body.count), k: UInt32(rule.number))] + body
  }

  /// Falls through where the condition holds, else returns `refusal`.
  private static func test(_ condition: SystemCallPolicy.Condition, refusal: UInt32) -> [sock_filter] {
    switch condition {
    case .isOneOf(let argument, let values):
      return [step(load, low(argument))] + choose(values, refusal)
    case .maskedIsOneOf(let argument, let mask, let values):
      return [step(load, low(argument)), step(and, mask)] + choose(values, refusal)
    case .isNull(let argument):
      return [step(load, low(argument))] + choose([0], refusal) + [step(load, low(argument) + 4)] + choose([0], refusal)
    }
  }

  /// Each comparison that holds jumps over the rest and over the refusal.
  private static func choose(_ values: [UInt32], _ refusal: UInt32) -> [sock_filter] {
    var steps: [sock_filter] = []
    for (index, value) in values.enumerated() {
      steps.append(sock_filter(code: jumpIfEqual, jt: UInt8(clamping: values.count - index), jf: 0, k: value))
    }
    return steps + [step(give, refusal)]
  }

  /// Little-endian: the low half of an argument comes first.
  private static func low(_ argument: Int) -> UInt32 { firstArgumentOffset + UInt32(argument) * 8 }
  private static func step(_ code: UInt16, _ value: UInt32) -> sock_filter { sock_filter(code: code, jt: 0, jf: 0, k: value) }
}
