import FoundationEssentials
import Testing

@testable import LocalAPI

/// docs/roles.md is written out of the table, and held equal to it. `HAECHI_WRITE_DOCS=1 swift test --filter RolesPageTests` writes it anew.
@Suite struct RolesPageTests {
  private static let roles = CallerRole.allCases

  static var page: String {
    var lines = [
      "# Who may do what", "",
      "Made from the table in `Sources/DeviceCore/LocalAPI/Endpoints.swift`, which the device asks on every request, on resumed sessions too, and on every",
      "event of a stream. `yes`: served; `403`: known, and not allowed. Whoever is not in this table gets an alert in the handshake: no certificate, a",
      "certificate of another owner or purpose, one that was withdrawn, an unknown role. A station is served by a blank or damaged device only.", "",
      "| endpoint | " + roles.map(\.rawValue).joined(separator: " | ") + " |",
      "|---|" + roles.map { _ in "---|" }.joined(),
    ]
    for endpoint in endpointTable.sorted(by: { ($0.path, $0.method) < ($1.path, $1.method) }) {
      let cells = roles.map { endpoint.roles.contains($0) ? "yes" : "403" }
      lines.append("| `\(endpoint.method) \(endpoint.path)` | " + cells.joined(separator: " | ") + " |")
    }
    lines += ["", "Any other method of these paths: 405. Any other path: 404."]
    return lines.joined(separator: "\n") + "\n"
  }

  @Test func thePageIsTheTable() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let file = root.appending(path: "docs/roles.md")
    if ProcessInfo.processInfo.environment["HAECHI_WRITE_DOCS"] == "1" { try Data(Self.page.utf8).write(to: file) }
    #expect(String(decoding: try Data(contentsOf: file), as: UTF8.self) == Self.page)
  }
}
