import Foundations
import TestDisk

@testable import Discovery

/// What the tests speak of.
enum Samples {
  static let device = DeviceIdentifier(publicKeyDigest: [UInt8](repeating: 0xab, count: 32)).unsafelyKnown
  static let other = DeviceIdentifier(publicKeyDigest: [UInt8](repeating: 0xcd, count: 32)).unsafelyKnown
  static let here = NetworkAddress(ipv4: 0xc000_0232)
  static let there = NetworkAddress(ipv4: 0xc000_0233)
  static let own = Announcement(device: device, address: here, port: 8_443)

  static func query(_ questions: MulticastQuestion..., known: [ResourceRecord] = [], isTruncated: Bool = false) -> MulticastMessage {
    var message = MulticastMessage(isResponse: false)
    message.questions = questions
    message.answers = known
    message.isTruncated = isTruncated
    return message
  }

  static func response(_ answers: [ResourceRecord]) -> MulticastMessage {
    var message = MulticastMessage(isResponse: true)
    message.answers = answers
    return message
  }
}

extension Optional {
  /// Of literals of the tests' own.
  fileprivate var unsafelyKnown: Wrapped {
    guard let self else { fatalError("a sample is none") }
    return self
  }
}

extension SeededRandom {
  mutating func bytes(_ count: ClosedRange<Int>) -> [UInt8] {
    (0..<Int.random(in: count, using: &self)).map { _ in UInt8.random(in: 0...255, using: &self) }
  }

  mutating func name() -> DomainName {
    if Bool.random(using: &self) {
      let known = [Announcement.service, Samples.own.instance, Samples.own.host, Samples.own.kind.name]
      return known[Int.random(in: 0..<known.count, using: &self)]
    }
    let labels = (0..<Int.random(in: 0...4, using: &self)).map { _ in bytes(1...63) }
    return DomainName(labels: labels) ?? Announcement.service
  }

  mutating func record() -> ResourceRecord {
    let content: ResourceRecord.Content =
      switch Int.random(in: 0...4, using: &self) {
      case 0: .address(NetworkAddress(ipv4: UInt32.random(in: .min ... .max, using: &self)))
      case 1: .address(NetworkAddress(bytes: bytes(16...16)) ?? Samples.here)
      case 2: .pointer(name())
      case 3:
        .service(
          priority: UInt16.random(in: 0...3, using: &self), weight: 0, port: UInt16.random(in: 0 ... .max, using: &self), target: name())
      default: .other(type: [RecordType.txt, RecordType.nsec, 13, 65_000][Int.random(in: 0...3, using: &self)], bytes(0...60))
      }
    return ResourceRecord(
      name(), content, lifetime_s: [0, 1, 60, 120, 4_500, .max][Int.random(in: 0...5, using: &self)], isUnique: .random(using: &self))
  }

  mutating func message() -> MulticastMessage {
    var message = MulticastMessage(isResponse: .random(using: &self))
    message.isTruncated = .random(using: &self)
    message.questions = (0..<Int.random(in: 0...4, using: &self)).map { _ in
      MulticastQuestion(
        name(), [RecordType.any, RecordType.ptr, RecordType.srv, RecordType.a, RecordType.aaaa, 7][Int.random(in: 0...5, using: &self)],
        wantsUnicast: .random(using: &self))
    }
    message.answers = (0..<Int.random(in: 0...4, using: &self)).map { _ in record() }
    message.authorities = (0..<Int.random(in: 0...3, using: &self)).map { _ in record() }
    message.additionals = (0..<Int.random(in: 0...3, using: &self)).map { _ in record() }
    return message
  }
}
