// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

// Optimised in debug builds too: the tests that let a run die at each of its requests take half the time, and try what the
// optimiser makes of the program.
let optimised: [SwiftSetting] = strict + [.unsafeFlags(["-O"], .when(configuration: .debug))]

let package = Package(
    name: "pvmigrate",
    products: [
        .executable(name: "pvmigrate", targets: ["pvmigrate"]),
        .executable(name: "pvmigrate-sandbox", targets: ["pvmigrate-sandbox"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Runs kubeconfig credential plugins; without its Foundation trait.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        // The file paths that swift-subprocess takes.
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // The sandbox's HTTPS server; without what reads configurations.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        // From the bottom up: each target depends only on those above it in this list.
        .systemLibrary(name: "CLibcurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CLibyaml", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "Curl", dependencies: ["CLibcurl"], swiftSettings: strict),
        .target(name: "YAML", dependencies: ["CLibyaml"], swiftSettings: strict),
        .target(name: "Ed25519", dependencies: ["CLibcrypto"], swiftSettings: strict),
        .target(
            name: "Kubernetes",
            dependencies: [
                "Curl", "YAML", "CLibcrypto",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: optimised
        ),
        .target(
            name: "Migration",
            dependencies: ["Kubernetes", "Ed25519"],
            resources: [.embedInCode("Mover/copy.sh"), .embedInCode("Mover/tell.sh"), .embedInCode("Mover/device.sh")],
            swiftSettings: optimised
        ),
        .executableTarget(
            name: "pvmigrate",
            dependencies: [
                "Migration", "Kubernetes",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                // Runs this computer's rsync.
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),

        // For tests and the sandbox only.
        .target(name: "ClusterSimulator", dependencies: ["Kubernetes"], swiftSettings: optimised),
        .executableTarget(
            name: "pvmigrate-sandbox",
            dependencies: [
                "ClusterSimulator", "Kubernetes", "CLibcrypto",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdHTTP2", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict
        ),
        // What scripts/bench measures with.
        .executableTarget(
            name: "pvmigrate-bench",
            dependencies: ["Kubernetes", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: strict
        ),

        .testTarget(name: "CurlTests", dependencies: ["Curl"], swiftSettings: strict),
        .testTarget(name: "YAMLTests", dependencies: ["YAML"], swiftSettings: strict),
        .testTarget(name: "KubernetesTests", dependencies: ["Kubernetes", "ClusterSimulator"], swiftSettings: strict),
        .testTarget(
            name: "ClusterSimulatorTests",
            dependencies: ["ClusterSimulator", "Kubernetes"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "MigrationTests",
            dependencies: ["Migration", "ClusterSimulator", "Kubernetes"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "pvmigrateTests",
            dependencies: ["pvmigrate", "Migration", "ClusterSimulator", "Kubernetes"],
            swiftSettings: strict
        ),
        // Of its own, since the parsers that are tested are in several targets.
        .testTarget(name: "FuzzTests", dependencies: ["Migration", "Kubernetes", "YAML"], swiftSettings: strict),
        .testTarget(name: "EndToEndTests", dependencies: ["Kubernetes"], swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
