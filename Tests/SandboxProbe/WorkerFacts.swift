import Glibc
import LinuxProcess

/// What the kernel says of this process: the lines of /proc/self/status on rights, and its network's name.
private func factsOfThisProcess() -> [String: String] {
  var facts: [String: String] = [:]
  guard let file = fopen("/proc/self/status", "r") else { return facts }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 4_096)
  while fgets(&line, CInt(line.count), file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 && $0 != CChar(UInt8(ascii: "\n")) }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let parts = text.split(separator: ":", maxSplits: 1)
    if parts.count == 2 { facts[String(parts[0])] = String(parts[1].filter { !$0.isWhitespace }) }
  }
  var name = [CChar](repeating: 0, count: 64)
  let length = readlink("/proc/self/ns/net", &name, name.count)
  facts["network"] = String(decoding: name.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return facts
}

/// Starts a worker that writes more than it may: the longest result comes whole, and nobody waited.
private func longestResultComesWhole() throws -> Bool {
  let bytes = (0..<Worker.maximumResultBytes + 1).map { UInt8(truncatingIfNeeded: $0 &* 7) }
  let worker = try Worker { bytes }
  var status: CInt = 0
  while waitpid(worker.process, &status, 0) < 0 { guard errno == EINTR else { return false } }
  return status == 0 && worker.takeResult() == Array(bytes.dropLast())
}

/// Starts a worker that tells what it is, and compares that with what is promised.
func workerIsAsPromised(rights: Worker.Rights) throws -> Bool {
  let names = ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs", "network"]
  let own = factsOfThisProcess()
  let worker = try Worker(rights: rights) {
    let facts = factsOfThisProcess()
    return Array(names.map { facts[$0] ?? "?" }.joined(separator: "\n").utf8)
  }
  var status: CInt = 0
  while waitpid(worker.process, &status, 0) < 0 { guard errno == EINTR else { return false } }
  let values = String(decoding: worker.takeResult(), as: UTF8.self).split(separator: "\n").map(String.init)
  guard status == 0, values.count == names.count, let held = UInt64(own["CapPrm"] ?? "", radix: 16) else { return false }
  let told = Dictionary(uniqueKeysWithValues: zip(names, values))
  func set(_ name: String) -> UInt64? { UInt64(told[name] ?? "", radix: 16) }

  let kept: UInt64 =
    switch rights {
    case .none: 0
    case .network: held & 1 << 12  // CAP_NET_ADMIN
    // CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_IPC_LOCK, CAP_SYS_ADMIN, CAP_SYS_RESOURCE, CAP_MKNOD
    case .storage: held & (1 << 0 | 1 << 1 | 1 << 3 | 1 << 14 | 1 << 21 | 1 << 24 | 1 << 27)
    }
  let isWhole = try longestResultComesWhole()
  let setsBoundary = held & 1 << 8 != 0  // CAP_SETPCAP
  let makesNetworks = held & 1 << 21 != 0  // CAP_SYS_ADMIN
  return set("CapEff") == kept && set("CapPrm") == kept && set("CapInh") == 0 && set("CapAmb") == 0
    && (set("CapBnd") == 0 || !setsBoundary) && told["NoNewPrivs"] == "1"
    && (told["network"] == own["network"]) == (rights == .network || !makesNetworks)
    && isWhole
}
