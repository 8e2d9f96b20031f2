// swift-tools-version: 6.1
//
// The plan of the house as the compiler sees it. Arrows point down only: an executable wires a product, DeviceCore and one board;
// DeviceCore knows a board by `BoardAPI` alone; a board knows nothing of DeviceCore but `Foundations`.
//
// Environment read here, set by Toolchain/cross-build:
//   HAECHI_DEVICE=1      the device's own libraries are there (libgpiod 2, tpm2-tss): compile what needs them
//   HAECHI_BOARD=NAME    the one board to link (default: virtual)
//   HAECHI_PRODUCT=NAME  hostile: a runtime that was taken over, for Tests/Device, in place of the product; never in a release
//   HAECHI_VARIANT=NAME  debug | release | host (default: host) | test (debug, and of the package only what runs in the test image)
import PackageDescription

let onDevice = Context.environment["HAECHI_DEVICE"] == "1"
let board = Context.environment["HAECHI_BOARD"] ?? "virtual"
let variant = Context.environment["HAECHI_VARIANT"] ?? "host"

/// Each board is one small target; a firmware links exactly one of them.
let boardTargets = ["virtual": "VirtualBoard", "qemu-virt": "QemuVirt"]
guard let boardTarget = boardTargets[board] else {
  fatalError("HAECHI_BOARD=\(board) is no board of this tree; known: \(boardTargets.keys.sorted().joined(separator: ", "))")
}

/// What the device does; a fork edits `Product` and does not add to these.
let productTargets = ["": "Product", "hostile": "HostileProduct"]
let productName = Context.environment["HAECHI_PRODUCT"] ?? ""
guard let productTarget = productTargets[productName] else {
  fatalError("HAECHI_PRODUCT=\(productName) is no product of this tree; known: hostile, or none for Sources/Product")
}
if productName == "hostile", variant == "release" { fatalError("HAECHI_PRODUCT=hostile attacks its own device and is refused in a release") }

let swiftSettings: [SwiftSetting] =
  [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    // What a release firmware must not hold (a rescue shell, a virtual button) is compiled only without this one.
    .define(variant == "release" ? "HAECHI_RELEASE" : "HAECHI_DEBUG"),
    .define("BOARD_" + board.uppercased().split(separator: "-").joined(separator: "_")),
    // A root package may set unsafe flags; dependencies are built without them, so their warnings are theirs.
    .unsafeFlags(["-warnings-as-errors"]),
  ] + (onDevice ? [.define("HAECHI_DEVICE_LIBRARIES")] : []) + (productName == "hostile" ? [.define("HAECHI_PRODUCT_HOSTILE")] : [])

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioConcurrency = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

func core(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/DeviceCore/\(name)", swiftSettings: swiftSettings)
}
func boardPart(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/Board/\(name)", swiftSettings: swiftSettings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, path: "Tests/\(name)Tests",
    resources: resources, swiftSettings: swiftSettings)
}

var targets: [Target] = [
  // System: C, and nothing of ours but the few lines that Swift cannot say.
  .target(name: "CHaechi", path: "Sources/System/CHaechi", cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
  .systemLibrary(name: "COpenSSL", path: "Sources/System/COpenSSL"),
  .systemLibrary(name: "CMosquitto", path: "Sources/System/CMosquitto"),

  // DeviceCore
  core("Foundations", ["CHaechi"]),
  core("Crypto", ["COpenSSL", "Foundations"]),
  core("Identity", ["Crypto", "Foundations"]),
  core("Audit", ["CHaechi", "Crypto", "Foundations"]),
  core("Vault", ["Crypto", "Foundations"]),
  core("Beliefs", ["Vault", "Crypto", "Foundations"]),
  core("TLS", ["COpenSSL", "Crypto", "Foundations", nioCore]),
  core("MQTT", ["CMosquitto", "TLS", "Foundations"]),
  core("CloudLink", ["MQTT", "TLS", "Crypto", "Foundations", nioConcurrency]),
  core("PeerLink", ["LocalAPI", "TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix, nioHTTP1, nioConcurrency]),
  core("Guard", ["Foundations", nioConcurrency]),
  core("SupervisorLink", ["Foundations"]),
  core("Supervisor", ["SupervisorLink", "BoardAPI", "Foundations"]),
  core("Network", ["CHaechi", "Foundations", nioCore, nioPosix, nioConcurrency]),
  core("Discovery", ["Foundations", nioCore, nioPosix]),
  core("LocalAPI", ["TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix, nioHTTP1, nioConcurrency]),
  core(
    "DeviceCore",
    [
      "LocalAPI", "CloudLink", "PeerLink", "Discovery", "Guard", "Network", "SupervisorLink", "TLS", "Vault", "Audit", "Identity", "Crypto", "BoardAPI",
      "Foundations", nioCore, nioPosix, nioConcurrency,
    ]),

  // Board
  boardPart("BoardAPI", ["Foundations"]),
  boardPart("LinuxProcess", ["BoardAPI", "Foundations", "CHaechi"]),
  boardPart("SimulatedSensors", ["BoardAPI", "Foundations"]),
  boardPart("VirtualBoard", ["BoardAPI", "SimulatedSensors", "LinuxProcess", "Foundations", "CHaechi"]),
  boardPart(
    "LinuxBoard",
    ["BoardAPI", "LinuxProcess", "Foundations", "CHaechi", "COpenSSL"] + (onDevice ? ["CGpiod", "CTss2", "CNftables", "CCryptsetup"] : [])),
  boardPart("QemuVirt", ["LinuxBoard", "SimulatedSensors", "BoardAPI", "Foundations"]),

  // What a fork edits, and what it makes.
  .target(name: "Product", dependencies: ["DeviceCore", "BoardAPI", "Foundations"], path: "Sources/Product", swiftSettings: swiftSettings),
  .executableTarget(
    name: "haechid",
    dependencies: [
      .byName(name: productTarget), "DeviceCore", "Supervisor", "SupervisorLink", "Audit", "Beliefs", "Identity", "Crypto", "LinuxProcess", "BoardAPI",
      "Foundations",
      .byName(name: boardTarget),
    ],
    path: "Sources/haechid", swiftSettings: swiftSettings),

  tests("Foundations", []),
  // What stands for a TPM that signs.
  .target(name: "TestChip", dependencies: ["COpenSSL", "Crypto"], path: "Tests/TestChip", swiftSettings: swiftSettings),
  tests("Crypto", ["TestChip", "Foundations"]),
  tests("Identity", ["Crypto", "Foundations"]),
  // A disk in memory whose power is cut at will, and a random generator that repeats itself.
  .target(name: "TestDisk", dependencies: ["Vault", "Foundations"], path: "Tests/TestDisk", swiftSettings: swiftSettings),
  tests("Audit", ["TestDisk", "Vault", "Crypto", "Identity", "Foundations"]),
  tests("Beliefs", ["TestDisk", "Vault", "Crypto", "Foundations"]),
  tests("Vault", ["TestDisk", "Crypto", "Foundations"]),
  tests("TLS", ["TestChip", "Crypto", "Identity", "Foundations", nioCore, nioPosix, nioEmbedded]),
  tests("MQTT", ["TLS", "Crypto", "Identity", "Foundations", "TestBroker"]),
  tests("CloudLink", ["MQTT", "TLS", "Crypto", "Identity", "Foundations", "TestBroker", nioConcurrency]),
  tests("PeerLink", ["LocalAPI", "TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix, nioConcurrency]),
  tests("Guard", ["Foundations", nioConcurrency]),
  tests("SupervisorLink", ["Foundations"]),
  tests("Supervisor", ["TestDisk", "SupervisorLink", "BoardAPI", "Foundations", "Identity", "Crypto", "haechid"]),
  tests("Network", ["Foundations", nioCore, nioPosix, nioConcurrency]),
  tests("Discovery", ["TestDisk", "Foundations", nioCore, nioPosix, nioConcurrency]),
  tests("LocalAPI", ["TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix, nioHTTP1, nioEmbedded, nioConcurrency]),
  tests(
    "DeviceCore",
    [
      "TestChip", "LocalAPI", "Discovery", "PeerLink", "BoardAPI", "VirtualBoard", "SupervisorLink", "Vault", "Identity", "Crypto", "TLS", "Foundations",
      nioCore, nioPosix, nioConcurrency,
    ]),
  tests("LinuxProcess", ["BoardAPI", "Foundations", "CHaechi", "sandbox-probe"]),
  // A real mosquitto on loopback, and who may connect to it.
  .target(name: "TestBroker", dependencies: ["MQTT", "TLS", "Identity", "Crypto", "Foundations"], path: "Tests/TestBroker", swiftSettings: swiftSettings),
  // Enters the runtime's sandbox and does one thing in it, for LinuxProcessTests.
  .executableTarget(
    name: "sandbox-probe", dependencies: ["LinuxProcess", "MQTT", "TLS", "Vault", "Crypto", "CHaechi", "Foundations", nioCore, nioPosix],
    path: "Tests/SandboxProbe",
    swiftSettings: swiftSettings),
  tests("VirtualBoard", ["SimulatedSensors", "BoardAPI", "Foundations"]),
  tests("LinuxBoard", ["QemuVirt", "BoardAPI", "Foundations", "CHaechi", "COpenSSL", "Audit"] + (onDevice ? ["CTss2", "CCryptsetup"] : [])),
  tests("Product", ["DeviceCore", "LocalAPI", "SupervisorLink", "BoardAPI", "VirtualBoard", "Foundations"]),
]

if onDevice {
  targets += [
    .systemLibrary(name: "CGpiod", path: "Sources/System/CGpiod"),
    .systemLibrary(name: "CTss2", path: "Sources/System/CTss2"),
    .systemLibrary(name: "CNftables", path: "Sources/System/CNftables"),
    .systemLibrary(name: "CCryptsetup", path: "Sources/System/CCryptsetup"),
  ]
} else {
  // The operator's side is a host tool and never part of a firmware.
  targets += [
    .systemLibrary(name: "CQrencode", path: "Sources/System/CQrencode"),
    .systemLibrary(name: "CPng", path: "Sources/System/CPng"),
    .target(name: "LabelPrint", dependencies: ["CQrencode", "CPng", "Foundations"], path: "Sources/LabelPrint", swiftSettings: swiftSettings),
    tests("LabelPrint", ["Foundations"]),
    .target(
      name: "OperatorKit", dependencies: ["LabelPrint", "Discovery", "Audit", "MQTT", "TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix, nioHTTP1],
      path: "Sources/OperatorKit", swiftSettings: swiftSettings),
    .executableTarget(
      name: "haechi", dependencies: ["OperatorKit", "Identity", "Crypto", "Foundations", argumentParser],
      path: "Sources/haechi", swiftSettings: swiftSettings),
    // Only the test against a real DHCP server runs it (Tests/Network/dnsmasq-test).
    .executableTarget(
      name: "dhcp-probe", dependencies: ["Network", "Foundations", nioCore, nioPosix], path: "Tests/Network/dhcp-probe",
      swiftSettings: swiftSettings),
    // Benchmarks/ is a package of its own. Its server is compiled here too, with every test build, so that it cannot fall behind what it serves.
    .executableTarget(
      name: "benchmark-server-check",
      dependencies: ["LocalAPI", "TLS", "Guard", "Vault", "Identity", "Crypto", "Foundations", "DeviceCore", nioCore, nioPosix, nioConcurrency],
      path: "Benchmarks/Sources/haechi-bench", swiftSettings: swiftSettings),
    tests(
      "OperatorKit",
      ["haechid", "DeviceCore", "SupervisorLink", "BoardAPI", "LocalAPI", "MQTT", "TLS", "Identity", "Crypto", "Foundations", nioCore, nioPosix]),
  ]
}

// The test image runs LinuxBoard's tests inside a machine: nothing else is cross-built for it.
let inTestImage: Set = [
  "CHaechi", "CGpiod", "CTss2", "CNftables", "CCryptsetup", "COpenSSL", "Foundations", "Crypto", "Audit", "BoardAPI", "LinuxProcess", "SimulatedSensors",
  "LinuxBoard", "QemuVirt", "LinuxBoardTests",
]
if variant == "test" { targets.removeAll { !inTestImage.contains($0.name) } }

if productName == "hostile" {
  targets.append(
    .target(
      name: "HostileProduct", dependencies: ["DeviceCore", "SupervisorLink", "Identity", "Crypto", "BoardAPI", "Foundations"],
      path: "Tests/HostileProduct", swiftSettings: swiftSettings))
}

let package = Package(
  name: "Haechi",
  products: variant == "test"
    ? []
    : [.executable(name: "haechid", targets: ["haechid"])]
      + (onDevice
        ? []
        : [
          .executable(name: "haechi", targets: ["haechi"]),
          // What Benchmarks/ serves with, beside the device itself.
          .library(name: "HaechiServing", targets: ["LocalAPI", "TLS", "Guard", "Vault", "Identity", "Crypto", "Foundations", "DeviceCore"]),
        ]),
  dependencies: variant == "test"
    ? []
    : [
      .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
      .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    ],
  targets: targets,
  swiftLanguageModes: [.v6]
)
