internal import CHaechi
public import Foundations

/// The last words of a runtime that crashes: one packet on the link, written from the signal's handler.
public enum CrashRecord {
  /// - Parameters:
  ///   - packet: the packet to send. It holds two digits that become the signal's number and sixteen that become the place in the image.
  ///   - signalOffset: where the two are, in bytes.
  ///   - placeOffset: where the sixteen are.
  ///   - descriptor: the link.
  public static func prepare(
    packet: [UInt8], signalOffset: Int, placeOffset: Int, descriptor: CInt
  ) throws(SystemCallError) {
    try check(
      haechi_record_crashes(descriptor, packet, CInt(clamping: packet.count), CInt(clamping: signalOffset), CInt(clamping: placeOffset)),
      "sigaction", "for a record of crashes")
  }
}
