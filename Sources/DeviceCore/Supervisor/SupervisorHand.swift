internal import BoardAPI
internal import Foundations
internal import SupervisorLink

// What a hand at the device does: its button, and the light that answers.

/// The button, the light, and what the two have led to.
struct HandState {
  /// When somebody last pressed the button, as this process itself saw it.
  var pressed_us: UInt64?
  var hold = ButtonHold()
  /// What the light shows by `hold`; nil while it is the product's.
  var shown: Bool?
  /// Whether whoever holds the button has been shown that letting go now wipes the device.
  var steadyIsShown = false
  /// What the product wants the light to show.
  var wanted: Bool?
  /// A wipe by hand is wanted, and so long the runtime is waited for: it knows whose the device was, for the receipt.
  var wipeWantedUntil_us: UInt64?
}

extension Supervisor {
  /// How long it was held is counted by when the line changed, however late this loop hears of it. On a machine that stands still that can be later than the hand
  /// did it: a wipe is wanted only by who was shown the steady light before.
  func buttonChanged(_ event: LineEvent, now_us: UInt64) {
    if event.value { hand.pressed_us = now_us }
    guard hand.hold.take(isPressed: event.value, now_us: min(event.at_us, now_us)), hand.steadyIsShown else { return }
    guard owner != nil else { return say(.notice, "the button was held, and there is no owner whose data could be wiped") }
    guard isWipeByHandAllowed else { return say(.warning, "the button was held: a quarantine of this start of the machine is its owner's to end") }
    guard wipeEnds_us == nil, awaitingWipe == nil else { return }
    say(.notice, "the button was held until the light was steady: the device is to be wiped")
    hand.wipeWantedUntil_us = later(now_us, by: limits.wipeByRuntime_us)
    tell(.wipeWanted)
  }

  /// A quarantine of this start of the machine keeps the evidence for the owner. After a restart whoever stands at the device gets it back, wiped: else an owner
  /// who is lost would leave it in quarantine for ever.
  var isWipeByHandAllowed: Bool { guardState.grade < .quarantined || (guardState.grade == .quarantined && guardState.isFromBefore) }

  /// Where the runtime does not take part, the device is wiped without it, and without a receipt.
  func wipeByHandIfDue(now_us: UInt64) {
    guard let until_us = hand.wipeWantedUntil_us, now_us >= until_us else { return }
    hand.wipeWantedUntil_us = nil
    guard wipeEnds_us == nil, awaitingWipe == nil, !workers.values.contains(where: \.job.isWipeRecord) else { return }
    guard isWipeByHandAllowed else { return say(.warning, "the device is not wiped: a quarantine has begun, which is its owner's to end") }
    say(.warning, "the runtime does not take part in the wipe")
    // No runtime is the start 0: nobody is answered.
    let order = WipeOrder(request: 0, start: 0, word: AuditWord("button"), why: "wiped by its button")
    if let refusal = self.order(order, now_us: now_us) { say(.error, "the device was not wiped: \(refusal)") }
  }

  /// Shows who holds the button how far it is; afterwards the light is the product's again.
  func showHold(now_us: UInt64) {
    let isSteady = hand.hold.isSteady(now_us: now_us)
    if isSteady, !hand.steadyIsShown { say(.notice, "the button is held: letting go now wipes the device") }
    hand.steadyIsShown = isSteady
    let light = hand.hold.light(now_us: now_us)
    guard light != hand.shown else { return }
    hand.shown = light
    guard let line = board.lines.first(where: { $0.name == SupervisorPacket.presenceLight }), case .output(let safe) = line.role else { return }
    let isSafe = guardState.grade >= .quarantined
    do throws(BoardError) {
      try board.gpio.set(line.name, to: light ?? (isSafe ? safe : hand.wanted ?? safe))
    } catch {
      say(.error, "output \(line.name): \(error)")
    }
  }
}
