import Foundations

/// Bytes written field by field: the digits of each field, and what it says.
func fixture(_ fields: [(digits: String, meaning: String)]) -> [UInt8] {
  fields.flatMap { field -> [UInt8] in
    guard let parsed = bytes(hexadecimal: field.digits.filter { $0 != " " }) else { fatalError("“\(field.digits)” are no hexadecimal digits") }
    return parsed
  }
}

/// SplitMix64: random numbers that are the same in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
