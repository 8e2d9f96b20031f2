internal import CHaechi
public import Foundations
internal import Glibc

/// Descriptors that a process is born with, and waiting for several.
public enum Descriptors {
  /// Where a newly started runtime finds its end of the link.
  public static let link: CInt = 3
  /// Where it finds its DHCP socket, if it was given one.
  public static let dhcp: CInt = 4

  /// Gives descriptors 0 to 2, where they are closed (PID 1 without a console), something harmless. Call it before anything is opened.
  public static func fillStandard() throws(SystemCallError) {
    try check(haechi_fill_standard_descriptors(), "open", "standard input, output and error")
  }

  /// Waits until one of `inputs` is readable (or was closed), `output` takes a packet, a signal arrives, or `timeout_ms` is over.
  public static func wait(inputs: [CInt], output: CInt?, timeout_ms: UInt32) {
    var entries = inputs.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    if let output { entries.append(pollfd(fd: output, events: Int16(POLLOUT), revents: 0)) }
    // What woke it is not returned: the supervisor looks at everything in each turn, and every look is free of waiting.
    _ = poll(&entries, nfds_t(entries.count), CInt(clamping: timeout_ms))
  }

  public static func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }
}

/// Throws where a C shim returned `-errno`.
@discardableResult
func check(_ result: CInt, _ call: String, _ subject: String) throws(SystemCallError) -> CInt {
  guard result >= 0 else { throw SystemCallError(call, number: 0 &- result, subject: subject) }
  return result
}
