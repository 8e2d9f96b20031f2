public import Foundations

/// What the guard wants done. There is no decision that lowers a grade: grades end by themselves or by the owner.
public enum GuardDecision: Sendable, Hashable {
  /// The longest evidence, as the supervisor's link takes it.
  public static let evidenceMaximum_bytes = 120

  /// Ask the supervisor for at least this grade. Evidence: at most 120 bytes of printable ASCII.
  case raise(Grade, GradeCause, evidence: String)

  /// A detector may ask for no more than its kind of evidence may lead to.
  init(_ finding: GuardFinding) {
    let evidence = finding.evidence.unicodeScalars.prefix(Self.evidenceMaximum_bytes).map { Self.printable($0) }
    self = .raise(min(finding.grade, finding.cause.ceiling), finding.cause, evidence: String(String.UnicodeScalarView(evidence)))
  }

  /// The scalar, or `?` for what is not printable ASCII: evidence comes from outside and ends in logs and on terminals.
  private static func printable(_ scalar: Unicode.Scalar) -> Unicode.Scalar { (0x20...0x7e).contains(scalar.value) ? scalar : "?" }
}
