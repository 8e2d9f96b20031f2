internal import BoardAPI
internal import Foundations
internal import SupervisorLink

/// What a worker answers where there is nothing to tell but whether it was done: the byte 1; or 0 and a sentence.
enum WorkerVerdict {
  private static let sentenceMaximum_bytes = 512

  /// - Parameter fault: nil where it was done.
  static func bytes(_ fault: String?) -> [UInt8] {
    guard let fault else { return [1] }
    return [0] + Array(SupervisorPacket.cut(fault, to: sentenceMaximum_bytes).utf8)
  }

  /// Of a call to the board.
  static func bytes(of call: () throws(BoardError) -> Void) -> [UInt8] {
    do throws(BoardError) {
      try call()
      return bytes(nil)
    } catch {
      return bytes(error.description)
    }
  }

  /// Why it was not done, read as carefully as any packet; nil where it was.
  static func fault(_ bytes: [UInt8], _ child: EndedChild) -> String? {
    if bytes == [1], child.end == .exited(code: 0) { return nil }
    let sentence = bytes.first == 0 ? String(decoding: bytes.dropFirst(), as: UTF8.self) : ""
    return sentence.isEmpty ? "its worker \(Supervisor.words(child.end)) without an answer" : sentence
  }
}
