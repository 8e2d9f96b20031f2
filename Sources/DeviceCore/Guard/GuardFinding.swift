import Foundations

/// What a detector holds for proved: signals came in a number that ordinary use does not bring about.
struct GuardFinding: Equatable {
  let cause: GradeCause
  /// The grade that helps against it.
  let grade: Grade
  /// What was seen, for people: printable ASCII.
  let evidence: String
}
