internal import BoardAPI

extension SealingRootOfTrust {
  /// Of sealed keys that lie beside each other the one that counts. There are two where sealing a key anew was cut off, and what nobody here has sealed hides
  /// none that opens.
  ///
  /// - Returns: nil where there is none; where none counts the first, for `unseal` to say why.
  func choose<Place>(_ kept: [(blob: [UInt8], place: Place)]) throws(BoardError) -> (blob: [UInt8], place: Place)? {
    guard kept.count > 1 else { return kept.first }
    for one in kept {
      switch try standing(of: one.blob) {
      case .current, .earlier: return one
      case .ahead, .over, .foreign: continue
      }
    }
    return kept.first
  }
}
