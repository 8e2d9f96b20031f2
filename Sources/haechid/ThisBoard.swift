import BoardAPI

#if BOARD_VIRTUAL
  import VirtualBoard
#elseif BOARD_QEMU_VIRT
  import QemuVirt
#endif

/// The one board that this image is linked with.
enum ThisBoard {
  #if BOARD_VIRTUAL
    /// A development host: what its kernel lacks is noted and not an error.
    static let isDevice = false
    static func make(folder: String) -> any Board { VirtualBoard(folder: folder) }
    static func makeSensors() -> any Sensors { VirtualBoard.makeSensors() }
  #elseif BOARD_QEMU_VIRT
    static let isDevice = true
    static func make(folder _: String) -> any Board { QemuVirt.makeBoard() }
    static func makeSensors() -> any Sensors { QemuVirt.makeSensors() }
  #else
    #error("name the board's own target here, as Package.swift does in boardTargets")
  #endif
}
