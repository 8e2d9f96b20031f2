import Glibc

/// A small generator with a seed (SplitMix64), so that a failure can be repeated.
public struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64
  public init(_ seed: UInt64) { state = seed }
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  /// `bytes` with one to four changes: a byte or a bit of another value, some cut out, put in, or missing at the end.
  public mutating func mutation(of bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0...4, using: &self) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &self)
      case 2: bytes.removeSubrange(index..<min(bytes.count, index + Int.random(in: 1...8, using: &self)))
      case 3: bytes.insert(contentsOf: [UInt8](repeating: UInt8.random(in: 0...255, using: &self), count: Int.random(in: 1...8, using: &self)), at: index)
      default: bytes.removeLast(min(bytes.count, Int.random(in: 1...40, using: &self)))
      }
    }
    return bytes
  }
}

/// The number in an environment variable, nil where there is none.
public func environmentNumber(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
