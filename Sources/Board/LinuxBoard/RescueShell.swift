#if HAECHI_DEBUG
  internal import BoardAPI
  internal import CHaechi
  internal import Glibc

  /// The shell on a debug image's serial line. A release image holds neither a shell nor this code.
  ///
  /// A keeper, a process of its own, starts the shell and starts it again when it ends, so that PID 1 has nothing to watch.
  struct RescueShell {
    let device: String
    private static let shell = "/bin/sh"
    /// A shell that cannot start does not take the processor.
    private static let pauseBetweenStarts_s: CUnsignedInt = 1

    var boardPhase: BoardPhase {
      BoardPhase(name: "rescue-shell", isEssential: false) { () throws(BoardError) in
        guard access(Self.shell, X_OK) == 0 else { throw .skipped("this image has no \(Self.shell)") }
        let keeper = haechi_fork()
        guard keeper >= 0 else { throw .system(code: "rescue-shell-failed", call: "fork", subject: Self.shell, number: errno) }
        if keeper == 0 { keep() }
      }
    }

    /// In the keeper.
    private func keep() -> Never {
      while true {
        let child = haechi_fork()
        if child == 0 { start() }
        if child > 0 {
          var status: CInt = 0
          while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        }
        sleep(Self.pauseBetweenStarts_s)
      }
    }

    /// In the shell's process: a session of its own with the serial line as its terminal, and nothing of PID 1's.
    private func start() -> Never {
      setsid()
      let terminal = open(device, O_RDWR | O_NOCTTY)
      // 1: taken from the session of an earlier shell, should something in it have outlived the shell.
      guard terminal >= 0, ioctl(terminal, UInt(TIOCSCTTY), 1) == 0 else { _exit(126) }
      for standard in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] {
        guard dup2(terminal, standard) == standard else { _exit(126) }
      }
      // PID 1 blocks the signals that it reads from a descriptor; a shell needs them as they are.
      var none = sigset_t()
      sigemptyset(&none)
      sigprocmask(SIG_SETMASK, &none, nil)
      for number in 1..<CInt(32) { _ = signal(number, SIG_DFL) }
      var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("-sh"), nil]
      var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/bin:/sbin:/usr/bin:/usr/sbin"), strdup("HOME=/"), strdup("TERM=vt100"), nil]
      execve(Self.shell, &arguments, &environment)
      _exit(127)
    }
  }
#endif
