import BoardAPI
import Foundations
import Glibc
import Testing

@testable import LinuxBoard

/// Rules applied for real: on a device by NftablesPolicy, on a host by the same script and the host's own libnftables, where it has one.
enum TestPolicy {
  static let runtimeUser: UInt32 = 900

  static func apply(_ rules: NetworkPolicyRules, interface: String = "eth0") throws {
    #if HAECHI_DEVICE_LIBRARIES
      try NftablesPolicy(interface: interface, runtimeUser: runtimeUser).apply(rules)
    #else
      let error = try run(try NftablesRuleSet(rules, interface: interface, runtimeUser: runtimeUser).script)
      if !error.isEmpty { throw BoardError(code: "policy-failed", reason: error) }
    #endif
  }

  static func rules(
    _ grade: Grade, destinations: [(TestAddress, UInt16)] = [], resolvers: [TestAddress] = [], discovers: Bool = false
  ) -> NetworkPolicyRules {
    NetworkPolicyRules(
      grade: grade, servedPort: 8443,
      destinations: destinations.compactMap { address, port in address.network.map { .init(address: $0, port: port) } },
      resolvers: resolvers.compactMap(\.network), discovers: discovers)
  }

  #if HAECHI_DEVICE_LIBRARIES
    static let isAvailable = true
    /// What the library says of a script; empty where it was taken.
    static func run(_ script: String) throws -> String {
      do throws(BoardError) {
        try Nftables.run(script, subject: "test")
        return ""
      } catch {
        return error.reason
      }
    }
  #else
    private typealias Context = UnsafeMutableRawPointer

    /// Loaded and not linked: a host need not have it.
    nonisolated(unsafe) private static let library = dlopen("libnftables.so.1", RTLD_NOW)
    static let isAvailable = library != nil

    static func run(_ script: String) throws -> String {
      func call<Function>(_ name: String, _ type: Function.Type) throws -> Function {
        let symbol = try #require(dlsym(library, name), "libnftables has no \(name)")
        return unsafeBitCast(symbol, to: type)
      }
      let context = try #require(try call("nft_ctx_new", (@convention(c) (UInt32) -> Context?).self)(0))
      let release = try call("nft_ctx_free", (@convention(c) (Context) -> Void).self)
      defer { release(context) }
      _ = try call("nft_ctx_buffer_output", (@convention(c) (Context) -> CInt).self)(context)
      _ = try call("nft_ctx_buffer_error", (@convention(c) (Context) -> CInt).self)(context)
      let status = try call("nft_run_cmd_from_buffer", (@convention(c) (Context, UnsafePointer<CChar>) -> CInt).self)(context, script)
      let words = try call("nft_ctx_get_error_buffer", (@convention(c) (Context) -> UnsafePointer<CChar>?).self)(context)
      return status == 0 ? "" : words.map { Nftables.firstLine(String(cString: $0)) } ?? "refused"
    }
  #endif
}
