// swift-tools-version: 6.1
//
// The servers that are measured: the parts of the device as it is built, in a program whose limits can be raised and whose features can be
// switched. `bench/` runs it beside its peers. Nothing of it goes into a firmware.
import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .unsafeFlags(["-warnings-as-errors"]),
]

let package = Package(
  name: "Benchmarks",
  dependencies: [
    .package(name: "Haechi", path: ".."),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
  ],
  targets: [
    .executableTarget(
      name: "haechi-bench",
      dependencies: [
        .product(name: "HaechiServing", package: "Haechi"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
      ],
      swiftSettings: swiftSettings)
  ],
  swiftLanguageModes: [.v6]
)
