// The one message of nfnetlink that PID 1 sends itself (linux/netfilter/nfnetlink.h, nf_tables.h). Numbers in its attributes are big-endian.

enum NftablesMessageType {
  /// NFNL_SUBSYS_NFTABLES 10 in the upper byte.
  static let newObject: UInt16 = 10 << 8 | 18
  static let getObject: UInt16 = 10 << 8 | 19
}

enum NftablesRequest {
  /// Asks for a named counter of a table of the `inet` family.
  static func getCounter(table: String, name: String) -> NetlinkEncoder {
    var message = NetlinkEncoder(type: NftablesMessageType.getObject, flags: [.request, .acknowledge])
    // struct nfgenmsg: family (NFPROTO_INET), version (NFNETLINK_V0), resource.
    message.append(UInt8(1))
    message.append(UInt8(0))
    message.append(UInt16(0))
    message.append(attribute: 1, text: table)  // NFTA_OBJ_TABLE
    message.append(attribute: 2, text: name)  // NFTA_OBJ_NAME
    message.append(attribute: 3, NetlinkEncoder.networkOrder(1))  // NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER
    return message
  }
}

/// A counter as the kernel describes it.
struct CounterFacts: Equatable {
  /// At most 128 bytes.
  let name: String
  let packets: UInt64

  /// nil where `message` is no NFT_MSG_NEWOBJ of a counter or a length in it is wrong.
  init?(_ message: NetlinkMessage) {
    guard message.type == NftablesMessageType.newObject, let attributes = Netlink.attributes(message.payload, from: 4),
      let name = Netlink.text(attributes[2], maximum_bytes: 128), attributes[3] == NetlinkEncoder.networkOrder(1),
      let data = attributes[4], let counts = Netlink.attributes(data, from: 0),  // NFTA_OBJ_DATA
      let packets = counts[2], packets.count == 8  // NFTA_COUNTER_PACKETS
    else { return nil }
    self.name = name
    self.packets = packets.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
