internal import BoardAPI
internal import Foundations
internal import SupervisorLink

/// One named step of boot or shutdown.
struct Phase {
  enum Result: Equatable {
    case done
    case skipped(String)
    case failed(String)
  }
  let name: String
  /// Where one of boot fails, the machine starts anew.
  let isEssential: Bool
  let run: () -> Result

  init(_ name: String, isEssential: Bool = false, run: @escaping () -> Result) {
    self.name = name
    self.isEssential = isEssential
    self.run = run
  }

  /// A step of the board's own.
  init(_ phase: BoardPhase) {
    self.init(phase.name, isEssential: phase.isEssential) {
      do throws(BoardError) {
        try phase.run()
        return .done
      } catch {
        return error.isSkip ? .skipped(error.reason) : .failed(error.description)
      }
    }
  }

  /// Runs it and says how it went.
  func report(clock: () -> UInt64) -> PhaseReport {
    let started_us = clock()
    let result = run()
    let duration_us = elapsed_us(since: started_us, now: clock())
    let (outcome, detail): (PhaseOutcome, String) =
      switch result {
      case .done: (.done, "")
      case .skipped(let why): (.skipped, why)
      case .failed(let why): (.failed, why)
      }
    return PhaseReport(
      name: ShortName(name) ?? .unnamed, started_us: started_us, duration_us: duration_us, outcome: outcome,
      detail: SupervisorPacket.cut(detail, to: SupervisorPacket.maximumDetailBytes))
  }
}
