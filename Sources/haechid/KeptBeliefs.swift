import Beliefs
import BoardAPI
import DeviceCore
import Foundations
import Supervisor

/// Where the supervisor's beliefs lie. For workers: it writes files and calls OpenSSL, which PID 1 itself never does.
struct KeptBeliefs: BeliefStore {
  private let file: BeliefFile

  init(_ board: any Board) {
    file = BeliefFile(folder: board.supervisorFolder, ownerFile: RuntimeConfiguration.ownerFile(in: board.runtimeStateFolder))
  }

  func read() -> BeliefsFound {
    switch file.read() {
    case .record(let record): .record(record)
    case .nothing: .nothing
    case .lost(let why): .lost(why)
    }
  }

  func keep(_ record: [UInt8]) -> String? {
    do throws(BeliefFileError) {
      try file.replace(with: record)
      return nil
    } catch {
      return error.description
    }
  }
}
