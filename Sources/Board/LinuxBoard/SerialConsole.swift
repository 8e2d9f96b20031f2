#if HAECHI_DEBUG
  internal import BoardAPI
  internal import Foundations
  internal import Glibc

  /// The log of a debug image on its serial line. A release image has no TTY layer, and not this code either.
  final class SerialConsole: Console {
    private let device: String
    private var opened: OwnedDescriptor?

    init(device: String) { self.device = device }

    func write(line: String) {
      if opened == nil {
        // Not our controlling terminal: ^C on the line must not reach PID 1.
        let flags = O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC
        var number = open(device, flags)
        // Before /dev is mounted there is only the node that the initramfs came with.
        if number < 0 { number = open("/dev/console", flags) }
        guard number >= 0 else { return }
        opened = OwnedDescriptor(adopting: number)
      }
      let bytes = Array(line.utf8) + [UInt8(ascii: "\n")]
      // What the device does not take at once is dropped, as the protocol says.
      _ = Glibc.write(opened?.number ?? -1, bytes, bytes.count)
    }
  }
#endif
