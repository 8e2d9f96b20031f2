internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// What a crashed kernel left lies in the firmware's variables: to remove it is a call into the firmware, which may take long or never come back. A worker
// makes it, and boot waits for that, with a deadline: nothing is served before it is gone or the deadline is over, and then it is tried by the next boot.

extension Supervisor {
  /// Takes what a crashed kernel left into the log, and has it removed.
  func takeCrashRecords() -> Phase.Result {
    let board = board
    do throws(SupervisorError) {
      let answer = try awaitWorker(rights: .none, within: limits.crashRecords_us) {
        do throws(BoardError) {
          return CrashRecordsAnswer.bytes(try board.takeCrashRecords())
        } catch {
          return WorkerVerdict.bytes(error.description)
        }
      }
      guard answer.child.end == .exited(code: 0), let found = CrashRecordsAnswer.read(answer.bytes) else {
        return crashRecordsStay(WorkerVerdict.fault(answer.bytes, answer.child) ?? "its worker answered something else")
      }
      for sentence in found.sentences { say(.error, "the kernel crashed: \(sentence)") }
      if found.count > found.sentences.count { say(.error, "the kernel crashed: \(found.count - found.sentences.count) more records are gone untold") }
      if found.count > 0 { note(AuditEvent(.kernelCrashed, .number(UInt64(found.count)))) }
      return .done
    } catch {
      return crashRecordsStay(error.reason)
    }
  }

  private func crashRecordsStay(_ why: String) -> Phase.Result {
    say(.error, "what a crashed kernel left may stay with the firmware until the next boot: \(why)")
    return .failed(why)
  }
}

/// What the worker says that took the records: 1, how many there were (2 bytes), and the sentences, each of one line, as far as they have room.
enum CrashRecordsAnswer {
  /// Less than a worker's result may have; a sentence has some hundred bytes.
  private static let sentencesMaximum_bytes = 8 * 1_024
  private static let lineEnd = UInt8(ascii: "\n")

  static func bytes(_ sentences: [String]) -> [UInt8] {
    var text: [UInt8] = []
    for sentence in sentences {
      let line = sentence.utf8.map { $0 == lineEnd ? UInt8(ascii: " ") : $0 } + [lineEnd]
      guard text.count + line.count <= sentencesMaximum_bytes else { break }
      text += line
    }
    let count = UInt16(clamping: sentences.count)
    return [1, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count)] + text
  }

  /// nil where it is no such answer.
  static func read(_ bytes: [UInt8]) -> (count: Int, sentences: [String])? {
    guard bytes.count >= 3, bytes.count <= 3 + sentencesMaximum_bytes, bytes[0] == 1 else { return nil }
    let count = Int(bytes[1]) << 8 | Int(bytes[2])
    let sentences = bytes.dropFirst(3).split(separator: lineEnd).map { String(decoding: $0, as: UTF8.self) }
    return sentences.count <= count ? (count, sentences) : nil
  }
}
