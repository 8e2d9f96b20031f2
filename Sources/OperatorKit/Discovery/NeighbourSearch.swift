internal import Discovery
internal import Foundations
internal import NIOCore
internal import NIOPosix

/// A device that says that it is there. A hint: who is there, only a connection tells.
public struct FoundDevice: Encodable, Sendable, Equatable {
  public let deviceId: String
  /// A numeric address.
  public let address: String
  public let port: Int
  /// Of a device that is known here.
  public let alias: String?

  var endpoint: Endpoint { Endpoint(host: address, port: port) }
}

/// Listens on every network of this machine for devices that announce themselves, and asks them to.
public struct NeighbourSearch: Sendable {
  /// The longest search, seconds.
  public static let longest_s = 300
  private let home: OperatorHome
  private let seconds: Int

  /// - Parameter seconds: how long to listen.
  /// - Throws: `bad-argument` where that is not 1…300.
  public init(home: OperatorHome, seconds: Int) throws(OperatorError) {
    guard (1...Self.longest_s).contains(seconds) else {
      throw OperatorError("bad-argument", "a search lasts 1 to \(Self.longest_s) seconds, not \(seconds)")
    }
    self.home = home
    self.seconds = seconds
  }

  /// Every device that was heard, by device id.
  ///
  /// - Parameter device: ends the search when this one is heard; 20 hexadecimal digits.
  /// - Throws: `search-failed` where no network of this machine can be listened on; what the list of known devices throws.
  public func run(until device: String? = nil) async throws(OperatorError) -> [FoundDevice] {
    let aliases = try DeviceBook.load(home).devices.reduce(into: [:]) { $0[$1.deviceId] = $1.alias }
    let heard: [Sighting]
    do {
      heard = try await listen(until: device.flatMap { DeviceIdentifier($0) })
    } catch let error as OperatorError {
      throw error
    } catch {
      throw OperatorError("search-failed", "multicast DNS cannot be listened to on this machine", cause: error)
    }
    return heard.map {
      FoundDevice(deviceId: $0.device.text, address: $0.address.description, port: Int($0.port), alias: aliases[$0.device.text] ?? nil)
    }
  }

  /// The place of a device among its neighbours, the first that was heard.
  ///
  /// - Throws: `unknown-device` where it was not heard; as `run`.
  public func place(of deviceId: String, name: String) async throws(OperatorError) -> Endpoint {
    guard let found = try await run(until: deviceId).first(where: { $0.deviceId == deviceId }) else {
      throw OperatorError(
        "unknown-device",
        "no address of device \(name) is known here, and it did not announce itself within \(seconds) s; give its address, or switch its announcing on where you reach it: haechi discovery on"
      )
    }
    return found.endpoint
  }

  // MARK: On the networks

  private func listen(until device: DeviceIdentifier?) async throws -> [Sighting] {
    let addresses = try Self.ownAddresses()
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let heard = NIOLoopBoundBox.makeBoxSendingValue(Sightings(), eventLoop: loop)
    var channels: [any Channel] = []
    var failure: (any Error)?
    for address in addresses {
      do {
        let descriptor = try MulticastSocket.open(interface: address, loops: true)
        channels.append(
          try await DatagramBootstrap(group: loop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: MulticastMessage.maximum_bytes))
            .channelInitializer { channel in
              channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Ear(heard)) }
            }
            .withBoundSocket(descriptor).get())
      } catch {
        failure = error
      }
    }
    if channels.isEmpty, let failure { throw failure }
    let group = try SocketAddress(ipAddress: MulticastSocket.group.description, port: Int(MulticastSocket.port))
    let question = Sightings.question.encoded
    var waited_ms = 0
    // Asked again after one, three, seven … seconds: a packet may be lost.
    var next_ms = 0
    var pause_ms = 1_000
    while waited_ms < seconds * 1_000 {
      if waited_ms >= next_ms {
        for channel in channels {
          // A network that is down is one on which nobody answers.
          try? await channel.writeAndFlush(AddressedEnvelope(remoteAddress: group, data: channel.allocator.buffer(bytes: question)))
        }
        next_ms += pause_ms
        pause_ms *= 2
      }
      do { try await Task.sleep(for: .milliseconds(100)) } catch { break }
      waited_ms += 100
      if let device, try await loop.submit({ heard.value.all.contains { $0.device == device } }).get() { break }
    }
    for channel in channels { try? await channel.close() }
    return try await loop.submit { heard.value.all }.get()
  }

  /// One IPv4 address of each network interface, the loopback's too.
  private static func ownAddresses() throws -> [NetworkAddress] {
    var seen: Set<Int> = []
    return try System.enumerateDevices().compactMap { device in
      guard let address = device.address?.ipAddress.flatMap({ NetworkAddress($0) }), address.isIPv4, seen.insert(device.interfaceIndex).inserted else {
        return nil
      }
      return address
    }
  }
}

/// Takes down what is said.
private final class Ear: ChannelInboundHandler {
  typealias InboundIn = AddressedEnvelope<ByteBuffer>
  private let heard: NIOLoopBoundBox<Sightings>

  init(_ heard: NIOLoopBoundBox<Sightings>) { self.heard = heard }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let envelope = unwrapInboundIn(data)
    guard envelope.remoteAddress.port == Int(MulticastSocket.port), let message = try? MulticastMessage(encoded: Array(envelope.data.readableBytesView))
    else { return }
    heard.value.take(message)
  }
}
