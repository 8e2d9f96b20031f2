import FoundationEssentials
import Testing

/// docs/retention.md says of each file that a device stores what it is for and when it goes.
private let declaredFiles: [Substring: Set<Substring>] = {
  let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  guard let page = try? Data(contentsOf: root.appending(path: "docs/retention.md")) else { return [:] }
  var files: [Substring: Set<Substring>] = [:]
  for section in String(decoding: page, as: UTF8.self).split(separator: "\n## ") {
    let title = section.prefix { $0 != ":" && $0 != "\n" }
    let cells = section.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { $0.dropFirst(2).prefix { $0 != "|" } }
    files[title] = Set(cells.flatMap { $0.split(separator: "`").filter { !$0.contains(" ") } })
  }
  return files
}()

/// Every file in `folder` has a line in that part of docs/retention.md.
func expectDeclared(_ folder: TestFolder, under title: Substring) throws {
  let declared = try #require(declaredFiles[title], "docs/retention.md has no part \"\(title)\"")
  for name in folder.contents().keys {
    #expect(declared.contains(Substring(name)), "\(name) is stored, and docs/retention.md does not say what for and how long")
  }
}
