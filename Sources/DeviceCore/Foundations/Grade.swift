/// How much of the network a device still takes part in. Ordered: each grade allows less than the one before.
///
/// Every grade is default deny in both directions; a grade only changes which of the declared flows exist.
public enum Grade: UInt8, Sendable, Comparable, CaseIterable {
  case normal = 0
  /// Under load from outside: nobody new but the owner's people, few handshakes at a time, the cloud only. Ends by itself.
  case restricted = 1
  /// Something inside is not to be trusted: outputs are safe, only an admin is served, and nothing leaves but the alert. Only the owner ends it.
  case quarantined = 2
  /// Nothing is sent and nothing is taken.
  case locked = 3

  public static func < (a: Grade, b: Grade) -> Bool { a.rawValue < b.rawValue }

  /// The word of the API, the log and the command line.
  public var word: String {
    switch self {
    case .normal: "normal"
    case .restricted: "restricted"
    case .quarantined: "quarantined"
    case .locked: "locked"
    }
  }
}

/// Why a device has its grade. A closed set: each stands for one kind of evidence.
public enum GradeCause: UInt8, Sendable, CaseIterable {
  /// Nothing is the matter.
  case none = 0
  /// Many handshakes or requests were refused. Anyone on the network can bring this about, so it never leads further than `restricted`.
  case authenticationFailures = 1
  /// Runtimes ended one after the other before they had settled.
  case crashLoop = 2
  /// The runtime made a system call that its sandbox forbids.
  case sandboxViolation = 3
  /// The runtime broke the rules of its link to the supervisor.
  case linkViolation = 4
  /// The runtime tried to send to an address that is not declared.
  case undeclaredEgress = 5
  /// The product or a detector inside the runtime asked for it.
  case requested = 6
  /// The owner's admin released the device.
  case released = 7
  /// The load is over.
  case decayed = 8
  /// What the supervisor believed before a restart of the machine cannot be read, so whether there was a quarantine is not known.
  case beliefsLost = 9

  /// The word of the API and the log.
  public var word: String {
    switch self {
    case .none: "none"
    case .authenticationFailures: "authentication-failures"
    case .crashLoop: "crash-loop"
    case .sandboxViolation: "sandbox-violation"
    case .linkViolation: "link-violation"
    case .undeclaredEgress: "undeclared-egress"
    case .requested: "requested"
    case .released: "released"
    case .decayed: "decayed"
    case .beliefsLost: "beliefs-lost"
    }
  }

  /// The highest grade that this kind of evidence may lead to.
  ///
  /// What anyone on the network can produce must not be able to silence a device for long, or quarantine itself would be the attack.
  public var ceiling: Grade {
    switch self {
    case .none, .released, .decayed: .normal
    case .authenticationFailures: .restricted
    case .crashLoop, .sandboxViolation, .linkViolation, .undeclaredEgress, .requested, .beliefsLost: .quarantined
    }
  }
}
