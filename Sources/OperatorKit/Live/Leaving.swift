internal import Glibc

/// Keeps Ctrl-C from ending the process, so that a signal source may see it.
public func ignoreInterrupt() { signal(SIGINT, SIG_IGN) }

/// Ends the process as one that did what it was asked.
public func leave() -> Never { exit(0) }
