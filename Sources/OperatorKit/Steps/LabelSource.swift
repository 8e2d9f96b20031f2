internal import Foundations
public import Identity

/// Where a label comes from: typed, or from a file.
public enum LabelSource {
  /// The label that `text` holds.
  ///
  /// - Throws: `label-malformed`.
  public static func parse(_ text: String) throws(OperatorError) -> DeviceLabel {
    do throws(LabelError) {
      return try DeviceLabel(text: text)
    } catch {
      throw OperatorError(error.code, error.reason)
    }
  }

  /// The label in the first line of the file at `path`, as `haechi provision` writes it.
  ///
  /// - Throws: `label-malformed`, and what is wrong with the file.
  public static func read(_ path: String) throws(OperatorError) -> DeviceLabel {
    let text = String(decoding: try PrivateFiles.read(path), as: UTF8.self)
    do throws(OperatorError) {
      return try parse(String(text.prefix { !$0.isNewline }))
    } catch {
      throw OperatorError(error.code, "\(path): \(error.reason)")
    }
  }
}
