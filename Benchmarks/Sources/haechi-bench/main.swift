import Foundations
import Glibc

do {
  switch CommandLine.arguments.dropFirst().first {
  case "serve": try serve(try ServeOptions(Array(CommandLine.arguments.dropFirst(2))))
  case "json": try measureJSON(seconds: CommandLine.arguments.dropFirst(2).first.flatMap(Double.init) ?? 1)
  case "vault":
    guard CommandLine.arguments.count == 4, let count = Int(CommandLine.arguments[3]), (100...16_000).contains(count) else { fallthrough }
    try measureVault(folder: CommandLine.arguments[2], count: count)
  default:
    say(ServeOptions.help)
    exit(EX_USAGE)
  }
} catch {
  say("haechi-bench: \(error)")
  exit(EX_OSERR)
}

/// One line on standard output, at once: whoever started the program waits for it.
func say(_ line: String) {
  let bytes = Array("\(line)\n".utf8)
  _ = write(STDOUT_FILENO, bytes, bytes.count)
}
