public import Foundations
import Glibc
import Synchronization
public import Vault

/// A folder on a disk with a volatile cache, in memory.
///
/// What was not flushed may be there after a power cut, or partly (by sectors of 512 bytes), or not, in any order; so may names, until the folder was
/// flushed. The power is cut at a chosen operation; any operation can be made to fail.
public final class CuttableDisk: VaultStorage {
  public enum Operation: Hashable, Sendable, CaseIterable { case open, create, rename, remove, folderFlush, read, write, truncate, flush }

  public init() {}

  static let sector_bytes = 512
  public let path = "disk"

  private enum Pending {
    case write(Int, [UInt8])
    case truncate(Int)
  }
  private struct Node {
    var live: [UInt8] = []
    var durable: [UInt8] = []
    var pending: [Pending] = []
  }
  private enum NameChange {
    case set(String, Int)
    case remove(String)
    case exchange(String, String)
  }
  private struct State {
    var nodes: [Int: Node] = [:]
    var liveNames: [String: Int] = [:]
    var durableNames: [String: Int] = [:]
    var pendingNames: [NameChange] = []
    var nextNode = 0
    var operations = 0
    var cutAt: Int?
    var isOff = false
    /// Handles from before a cut are dead.
    var epoch = 0
    var faults: [Operation: CInt] = [:]
    var isReadOnly = false
  }
  private let state = Mutex(State())

  // MARK: What a test does to it

  public var operations: Int { state.withLock { $0.operations } }
  public var isOff: Bool { state.withLock { $0.isOff } }
  public func cut(after operations: Int) { state.withLock { $0.cutAt = $0.operations + operations } }
  /// Every such operation fails with this number; nil: works again.
  public func fail(_ operation: Operation, _ number: CInt?) { state.withLock { $0.faults[operation] = number } }
  public func setReadOnly(_ isReadOnly: Bool) { state.withLock { $0.isReadOnly = isReadOnly } }

  public func content(_ name: String) -> [UInt8]? { state.withLock { state in state.liveNames[name].flatMap { state.nodes[$0]?.live } } }
  public var names: [String] { state.withLock { $0.liveNames.keys.sorted() } }
  public func replace(_ name: String, _ bytes: [UInt8]?) {
    state.withLock { state in
      state.epoch += 1
      state.pendingNames = []
      guard let bytes else {
        state.liveNames[name] = nil
        state.durableNames = state.liveNames
        return
      }
      state.nextNode += 1
      state.nodes[state.nextNode] = Node(live: bytes, durable: bytes)
      state.liveNames[name] = state.nextNode
      state.durableNames = state.liveNames
    }
  }

  /// An operation of something else that the power supplies: a counter.
  public func tick() throws(SystemCallError) { try step(nil, "counter") }

  /// The process ended, there or where the power was to be cut; the machine, with its cache, lives on.
  public func killProcess() {
    state.withLock {
      $0.epoch += 1
      $0.isOff = false
      $0.cutAt = nil
    }
  }

  /// The power was cut, and nothing that was not flushed is there.
  public func loseCache() {
    state.withLock { state in
      for (number, node) in state.nodes { state.nodes[number] = Node(live: node.durable, durable: node.durable) }
      state.liveNames = state.durableNames
      state.pendingNames = []
      state.epoch += 1
    }
  }

  /// The power comes back: each thing that was not flushed is there, partly there or not.
  public func powerOn(_ random: inout some RandomNumberGenerator) {
    state.withLock { state in
      // In an order that a seed repeats.
      for (number, node) in state.nodes.sorted(by: { $0.key < $1.key }) { state.nodes[number] = Self.afterCut(node, &random) }
      for change in state.pendingNames where Bool.random(using: &random) {
        switch change {
        case .set(let name, let node):
          for (old, other) in state.durableNames where other == node { state.durableNames[old] = nil }
          state.durableNames[name] = node
        case .remove(let name): state.durableNames[name] = nil
        case .exchange(let name, let other):
          // Neither was there before where a creation that came first was lost.
          if let one = state.durableNames[name], let two = state.durableNames[other] {
            (state.durableNames[name], state.durableNames[other]) = (two, one)
          }
        }
      }
      state.pendingNames = []
      state.liveNames = state.durableNames
      let known = Set(state.liveNames.values)
      state.nodes = state.nodes.filter { known.contains($0.key) }
      state.isOff = false
      state.cutAt = nil
      state.epoch += 1
    }
  }

  private static func afterCut(_ node: Node, _ random: inout some RandomNumberGenerator) -> Node {
    var pieces: [Pending] = []
    for pending in node.pending {
      guard case .write(let offset, let bytes) = pending else {
        pieces.append(pending)
        continue
      }
      var done = 0
      while done < bytes.count {
        let count = min(bytes.count - done, sector_bytes - (offset + done) % sector_bytes)
        pieces.append(.write(offset + done, Array(bytes[done..<(done + count)])))
        done += count
      }
    }
    if Bool.random(using: &random) { pieces.shuffle(using: &random) }
    // Between nothing and all.
    let share = Int.random(in: 0...4, using: &random)
    var content = node.durable
    for piece in pieces where Int.random(in: 0..<4, using: &random) < share { Self.apply(piece, to: &content) }
    // A file system may have made the file longer before its content came.
    if node.live.count > content.count, Int.random(in: 0..<4, using: &random) == 0 {
      content += [UInt8](repeating: 0, count: node.live.count - content.count)
    }
    return Node(live: content, durable: content)
  }

  private static func apply(_ pending: Pending, to content: inout [UInt8]) {
    switch pending {
    case .write(let offset, let bytes):
      if content.count < offset + bytes.count { content += [UInt8](repeating: 0, count: offset + bytes.count - content.count) }
      content.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    case .truncate(let size):
      if content.count > size { content.removeLast(content.count - size) }
      if content.count < size { content += [UInt8](repeating: 0, count: size - content.count) }
    }
  }

  // MARK: What a vault does with it

  fileprivate func step(_ operation: Operation?, _ subject: String) throws(SystemCallError) {
    let fault = state.withLock { state -> CInt? in
      guard !state.isOff else { return EIO }
      if let operation, let number = state.faults[operation] { return number }
      if state.isReadOnly, let operation, [.create, .rename, .remove, .write, .truncate].contains(operation) { return EROFS }
      // Between two writes a cut is a cut, whatever was read.
      if operation == .read || operation == .open { return nil }
      state.operations += 1
      if let cutAt = state.cutAt, state.operations >= cutAt {
        state.isOff = true
        return EIO
      }
      return nil
    }
    if let fault { throw SystemCallError(operation.map { "\($0)" } ?? "tick", number: fault, subject: subject) }
  }

  public func open(_ name: String, writable: Bool) throws(SystemCallError) -> any VaultFile {
    try step(.open, name)
    let (node, epoch, isReadOnly) = state.withLock { ($0.liveNames[name], $0.epoch, $0.isReadOnly) }
    guard let node else { throw SystemCallError("open", number: ENOENT, subject: name) }
    guard !(writable && isReadOnly) else { throw SystemCallError("open", number: EROFS, subject: name) }
    return CuttableFile(disk: self, node: node, epoch: epoch, name: name)
  }

  public func create(_ name: String) throws(SystemCallError) -> any VaultFile {
    try step(.create, name)
    let made = state.withLock { state -> (Int, Int)? in
      guard state.liveNames[name] == nil else { return nil }
      state.nextNode += 1
      state.nodes[state.nextNode] = Node()
      state.liveNames[name] = state.nextNode
      state.pendingNames.append(.set(name, state.nextNode))
      return (state.nextNode, state.epoch)
    }
    guard let made else { throw SystemCallError("open", number: EEXIST, subject: name) }
    return CuttableFile(disk: self, node: made.0, epoch: made.1, name: name)
  }

  public func rename(_ name: String, to newName: String) throws(SystemCallError) {
    try change(.rename, name) { state in
      guard let node = state.liveNames.removeValue(forKey: name) else { return false }
      state.liveNames[newName] = node
      state.pendingNames.append(.set(newName, node))
      return true
    }
  }

  /// Two files change names, as one step.
  public func exchange(_ name: String, _ other: String) throws(SystemCallError) {
    try change(.rename, name) { state in
      guard let one = state.liveNames[name], let two = state.liveNames[other] else { return false }
      (state.liveNames[name], state.liveNames[other]) = (two, one)
      state.pendingNames.append(.exchange(name, other))
      return true
    }
  }

  public func remove(_ name: String) throws(SystemCallError) {
    try change(.remove, name) { state in
      guard state.liveNames.removeValue(forKey: name) != nil else { return false }
      state.pendingNames.append(.remove(name))
      return true
    }
  }

  /// What the power cut interrupts may have happened or not, as everything that is not flushed.
  private func change(_ operation: Operation, _ name: String, _ body: (inout State) -> Bool) throws(SystemCallError) {
    var fault: SystemCallError?
    do { try step(operation, name) } catch {
      guard isOff, error.number == EIO else { throw error }
      fault = error
    }
    let isThere = state.withLock { body(&$0) }
    if let fault { throw fault }
    guard isThere else { throw SystemCallError("\(operation)", number: ENOENT, subject: name) }
  }

  public func synchronise() throws(SystemCallError) {
    try step(.folderFlush, path)
    state.withLock {
      $0.durableNames = $0.liveNames
      $0.pendingNames = []
    }
  }

  private func with<Result: Sendable>(_ file: CuttableFile, _ body: (inout Node) -> Result) throws(SystemCallError) -> Result {
    let result = state.withLock { state -> Result? in
      guard state.epoch == file.epoch, var node = state.nodes[file.node] else { return nil }
      let result = body(&node)
      state.nodes[file.node] = node
      return result
    }
    guard let result else { throw SystemCallError("file", number: EBADF, subject: file.name) }
    return result
  }

  fileprivate func add(_ file: CuttableFile, _ operation: Operation, write: (Int, [UInt8])?, size: Int?) throws(SystemCallError) {
    let pending: Pending = write.map { .write($0.0, $0.1) } ?? .truncate(size ?? 0)
    var fault: SystemCallError?
    do { try step(operation, file.name) } catch {
      guard isOff, error.number == EIO else {
        // A full disk takes a part.
        if operation == .write, error.number == ENOSPC, let write { put(file, .write(write.0, Array(write.1.prefix(write.1.count / 2)))) }
        throw error
      }
      fault = error
    }
    put(file, pending)
    if let fault { throw fault }
  }

  private func put(_ file: CuttableFile, _ pending: Pending) {
    state.withLock { state in
      guard state.epoch == file.epoch, state.nodes[file.node] != nil else { return }
      state.nodes[file.node]?.pending.append(pending)
      if var live = state.nodes[file.node]?.live {
        state.nodes[file.node]?.live = []
        Self.apply(pending, to: &live)
        state.nodes[file.node]?.live = live
      }
    }
  }

  fileprivate func read(_ file: CuttableFile, _ offset: Int, _ count: Int) throws(SystemCallError) -> [UInt8] {
    try step(.read, file.name)
    return try with(file) { Array($0.live.dropFirst(offset).prefix(count)) }
  }

  fileprivate func size(_ file: CuttableFile) throws(SystemCallError) -> Int { try with(file) { $0.live.count } }

  fileprivate func flush(_ file: CuttableFile) throws(SystemCallError) {
    try step(.flush, file.name)
    try with(file) { node in
      node.durable = node.live
      node.pending = []
    }
  }
}

private final class CuttableFile: VaultFile {
  let disk: CuttableDisk
  let node: Int
  let epoch: Int
  let name: String

  init(disk: CuttableDisk, node: Int, epoch: Int, name: String) {
    self.disk = disk
    self.node = node
    self.epoch = epoch
    self.name = name
  }

  func size() throws(SystemCallError) -> Int { try disk.size(self) }
  func read(at offset: Int, count: Int) throws(SystemCallError) -> [UInt8] { try disk.read(self, offset, count) }
  func write(_ bytes: [UInt8], at offset: Int) throws(SystemCallError) { try disk.add(self, .write, write: (offset, bytes), size: nil) }
  func truncate(to size: Int) throws(SystemCallError) { try disk.add(self, .truncate, write: nil, size: size) }
  func synchronise() throws(SystemCallError) { try disk.flush(self) }
}
