/// Every number of the supervisor, with its reason.
public struct SupervisorLimits: Sendable, Equatable {
  /// The longest wait of the loop. An actuator is safe at the latest one turn after the runtime ended; the end itself wakes the loop, so this
  /// is only the fallback, and less than a tenth of the watchdog's time.
  public var longestWait_ms: UInt32 = 500

  /// A turn that comes so long after the one before, four times the longest wait, says that the machine stood still.
  public var standstill_us: UInt64 = 2_000_000

  /// The hardware watchdog's time. The loop feeds it each turn; a turn that waits 0.5 s and calls no part that waits is late by a factor
  /// of 20 when it bites. Longer would leave outputs without a guard for longer.
  public var watchdog_s: UInt32 = 10

  /// A runtime sends a heartbeat each second, after a round through all of its loops: five missing are no hiccup of a busy core.
  public var heartbeatTimeout_us: UInt64 = 5_000_000

  /// From start to `ready`. Measured: 2 s from the kernel's start under software emulation; a loaded machine takes several times that.
  public var startTimeout_us: UInt64 = 15_000_000

  /// The floor: at least this between two starts, so that a runtime that ends at once costs a small core a part of its time only.
  public var restartFloor_us: UInt64 = 1_000_000

  /// A runtime that still sends heartbeats this long after `ready` has settled: what ended it later is not what it starts with. As long as the
  /// heartbeat time-out, so that one that hangs as soon as it serves never settles.
  public var settled_us: UInt64 = 5_000_000

  /// The ceiling: so many ends in a row of runtimes that had not settled. Once may be chance and twice bad luck; three say that a fresh runtime
  /// alone does not help, and the whole machine starts afresh. A runtime that settles clears the count.
  public var ceiling: UInt32 = 3

  /// Between the end of a link and the end of its process lies what a runtime that fails does to end its threads, and the kernel to take a
  /// process down: milliseconds, and more on a busy core. Outputs are safe all the while.
  public var leaving_us: UInt64 = 2_000_000

  /// SIGKILL takes effect within a scheduler's turn. A process that is still there after this hangs in the kernel, which only a reboot ends.
  public var killTimeout_us: UInt64 = 5_000_000

  /// Packets read in one turn, so that a runtime that floods cannot keep the loop from its other work.
  public var packetsPerTurn = 64
  /// Packets that a runtime may send in a burst (its log at start) and in each second after that. Work needs about ten a second.
  public var packetBurst: UInt64 = 512
  public var packetsPerSecond: UInt64 = 256

  /// Packets that wait for a runtime that does not read. A start needs about forty; more than this and it is as good as hung.
  public var outgoingPackets = 256
  /// Log lines that are kept while no runtime is there to take them.
  public var keptLogLines = 64

  /// A worker's deadline. A TPM answers in about 0.1 s and may spend some seconds on its self-test.
  public var worker_us: UInt64 = 10_000_000

  /// A worker that replaces the network rules: some tens of milliseconds on a small core; more than this and it hangs.
  public var policy_us: UInt64 = 5_000_000
  /// So many failures in a row to replace them in quarantine, and the machine starts anew: its old rules would let through what must stop.
  public var policyAttempts: UInt32 = 3
  /// A worker that checks a statement: three signatures, some tens of milliseconds under software emulation.
  public var statement_us: UInt64 = 5_000_000

  /// How long `restricted` lasts after the last evidence. Anyone on the network can bring it about, so minutes would be theirs to give.
  public var restriction_us: UInt64 = 60_000_000
  /// Between two looks at the count of undeclared packets, each of which the kernel has dropped already: evidence within a second, by one short
  /// question to the kernel.
  public var egressCheck_us: UInt64 = 500_000
  /// New addresses of the declared name, of declared peers, and new resolvers, each: a burst, and one in so many seconds after it. A name that moves faster is no broker's.
  public var addressBurst: UInt64 = 4
  public var addressInterval_s: UInt64 = 30
  /// Requests that wait for rules to be in force. The runtime has one at a time.
  public var awaitingRules = 8

  /// Reading and removing what a crashed kernel left: a crash leaves about ten records, each a variable of the firmware, whose flash takes up to a second to
  /// be erased. The firmware hangs after this.
  public var crashRecords_us: UInt64 = 20_000_000

  /// Opening the storage: seconds with a TPM under software emulation; making it, on the first boot only, writes 10 MB. On a host that many share, the same
  /// took 35 s. It hangs after this.
  public var storage_us: UInt64 = 120_000_000
  /// Keeping the identity folder: two TPM operations and one write.
  public var commit_us: UInt64 = 15_000_000
  /// Requests that wait for the next time. The runtime has a few at a time.
  public var awaitingCommit = 8

  /// A worker that signs with the device's own key: a TPM takes 0.1 s for the signature and some times that for what comes before it; one in its self-test
  /// takes seconds. Less than the runtime waits.
  public var signature_us: UInt64 = 5_000_000
  /// Signatures that are asked for: a burst, and so many in each second after that. As many as a TPM makes; strangers who knock at an unowned device bring them
  /// about, and each costs a process.
  public var signatureBurst: UInt64 = 32
  public var signaturesPerSecond: UInt64 = 8
  /// Requests that wait for a signature while one is made. The runtime has one or two at a time.
  public var awaitingSignatures = 4

  /// How long a destination that was withdrawn is still let through: the runtime hears of the change within milliseconds, and a connection
  /// attempt that was under way repeats its first packet after one and three seconds (RFC 6298).
  public var withdrawal_us: UInt64 = 5_000_000

  /// Making a damaged storage anew: a few TPM operations, and two partitions written over or discarded.
  public var remake_us: UInt64 = 60_000_000
  /// A press of the button allows a wipe by label for so long: the runtime's own window of 60 s, and what its answer may take.
  public var presence_us: UInt64 = 70_000_000
  /// The runtime has so long to ask for the wipe that a hand at the button wants: it asks the cloud for at most three seconds to erase what it holds, and writes
  /// down whose the device was, which takes a flush.
  public var wipeByRuntime_us: UInt64 = 5_000_000
  /// From the permission to the way down. What the runtime still has to answer it answers within its grace; this is so that it hears of the permission
  /// before it is told to end. What is not done by the restart is done at the next start.
  public var wipe_us: UInt64 = 200_000
  /// The same where the storage has no keys to destroy: there the runtime ends the wipe itself, and asks for its identity to be kept.
  public var keylessWipe_us: UInt64 = 5_000_000

  /// Entries of the audit log wait so long for others, so that a boot costs one append and not six, and none while the runtime starts.
  public var auditDelay_us: UInt64 = 2_000_000
  /// Entries that wait at most; what has no room is counted. A boot makes five.
  public var auditEntries = 128
  /// Requests that wait for an entry to be written. The runtime has one or two at a time.
  public var auditAnswers = 8
  /// A worker that appends: a few dozen codes, a signature and three flushes; a slow card takes its time for a flush. Less than the
  /// runtime waits for an answer.
  public var audit_us: UInt64 = 5_000_000
  /// Between a failure to append and the next try.
  public var auditPause_us: UInt64 = 30_000_000
  /// At the end: what has not been written by then is lost.
  public var auditAtEnd_us: UInt64 = 3_000_000
  /// Entries that others can bring about: a burst, and then one in so many seconds. The log holds more than a day of that.
  public var auditBurst: UInt64 = 32
  public var auditInterval_s: UInt64 = 60

  /// A worker that keeps what is believed: two writes of 16 KiB with a flush each; a slow card takes its time for a flush.
  public var beliefs_us: UInt64 = 5_000_000
  /// Between a failure to keep it and the next try.
  public var beliefsPause_us: UInt64 = 10_000_000
  /// Requests that wait until it is kept. The runtime has one or two at a time.
  public var beliefAnswers = 8
  /// At the end: what has not been kept by then is lost.
  public var beliefsAtEnd_us: UInt64 = 3_000_000

  /// The device's one TCP port.
  public var servedPort: UInt16 = 8443

  /// Whether the owner may declare the machine itself: true on a development host, where the broker and the peers are.
  public var allowsLoopback = false

  /// At an orderly shutdown: time for the runtime to close its connections.
  public var grace_ms: UInt32 = 2_000

  /// Between an essential phase of boot that failed and the reboot: a boot loop shall not wear anything out, and its reason can be read.
  public var failedBootPause_us: UInt64 = 10_000_000

  /// A board part that failed to give events is asked again after this, so that a broken line does not make a busy loop.
  public var brokenPartPause_us: UInt64 = 1_000_000

  public init() {}

  /// What differs where the virtual board runs.
  public static var ofDevelopmentHost: SupervisorLimits {
    var limits = SupervisorLimits()
    limits.allowsLoopback = true
    // A person waits for the sentence; there is no machine to wear out.
    limits.failedBootPause_us = 0
    // Many share it: a process or a flush that takes milliseconds elsewhere was seen to take tens of seconds. Nothing is driven meanwhile.
    limits.grace_ms = 20_000
    limits.auditAtEnd_us = 30_000_000
    limits.beliefsAtEnd_us = 30_000_000
    return limits
  }
}
