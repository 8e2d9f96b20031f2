@testable import LinuxBoard

// Datagrams of rtnetlink and nfnetlink, field by field. Those of the kernel were taken from a Linux 6.18 in a network namespace; the link's was shortened to
// the attributes that are read and two that are not.
enum NetlinkFixtures {
  static let setLinkUp = fixture([
    ("20000000", "length 32"),
    ("1000", "RTM_NEWLINK"),
    ("0500", "NLM_F_REQUEST | NLM_F_ACK"),
    ("07000000", "sequence 7"),
    ("00000000", "to the kernel"),
    ("00 00 0000", "family, padding, hardware type"),
    ("02000000", "index 2"),
    ("01000000", "flags: IFF_UP"),
    ("01000000", "flags to change: IFF_UP"),
  ])

  static let replaceAddress = fixture([
    ("30000000", "length 48"),
    ("1400", "RTM_NEWADDR"),
    ("0505", "NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE"),
    ("08000000", "sequence 8"),
    ("00000000", "to the kernel"),
    ("02", "AF_INET"),
    ("18", "prefix length 24"),
    ("00 00", "flags, scope"),
    ("02000000", "index 2"),
    ("0800 0200 0a00020f", "IFA_LOCAL 10.0.2.15"),
    ("0800 0100 0a00020f", "IFA_ADDRESS 10.0.2.15"),
    ("0800 0400 0a0002ff", "IFA_BROADCAST 10.0.2.255"),
  ])

  static let replaceDefaultRoute = fixture([
    ("2c000000", "length 44"),
    ("1800", "RTM_NEWROUTE"),
    ("0505", "NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE"),
    ("09000000", "sequence 9"),
    ("00000000", "to the kernel"),
    ("02", "AF_INET"),
    ("00 00 00", "destination of 0 bits, source of 0 bits, type of service"),
    ("fe", "table main"),
    ("10", "RTPROT_DHCP"),
    ("00", "RT_SCOPE_UNIVERSE"),
    ("01", "RTN_UNICAST"),
    ("04000000", "RTNH_F_ONLINK"),
    ("0800 0500 0a000202", "RTA_GATEWAY 10.0.2.2"),
    ("0800 0400 02000000", "RTA_OIF 2"),
  ])

  static let acknowledgement = fixture([
    ("24000000", "length 36"),
    ("0200", "NLMSG_ERROR"),
    ("0001", "NLM_F_CAPPED"),
    ("01000000", "sequence 1"),
    ("b16b0000", "to this socket"),
    ("00000000", "no error"),
    ("20000000 1000 0500 01000000 00000000", "the request's header"),
  ])

  static let refusal = fixture([
    ("44000000", "length 68"),
    ("0200", "NLMSG_ERROR"),
    ("0003", "NLM_F_CAPPED | NLM_F_ACK_TLVS"),
    ("05000000", "sequence 5"),
    ("b16b0000", "to this socket"),
    ("9bffffff", "-101: ENETUNREACH"),
    ("2c000000 1800 0505 05000000 00000000", "the request's header"),
    ("2000 0100", "NLMSGERR_ATTR_MSG, 32 bytes with its header"),
    ("4e657874686f702068617320696e76616c6964206761746577617900", "“Nexthop has invalid gateway” and a zero"),
  ])

  static let addresses = fixture([
    ("4c000000", "length 76"),
    ("1400", "RTM_NEWADDR"),
    ("0200", "NLM_F_MULTI"),
    ("04000000", "sequence 4"),
    ("b16b0000", "to this socket"),
    ("02 08 80 fe", "AF_INET, prefix length 8, IFA_F_PERMANENT, RT_SCOPE_HOST"),
    ("01000000", "index 1"),
    ("0800 0100 7f000001", "IFA_ADDRESS 127.0.0.1"),
    ("0800 0200 7f000001", "IFA_LOCAL 127.0.0.1"),
    ("0700 0300 6c6f00 00", "IFA_LABEL “lo” and its padding"),
    ("0800 0800 80000000", "IFA_FLAGS"),
    ("1400 0600 ffffffff ffffffff b99c0300 b99c0300", "IFA_CACHEINFO"),
    ("4c000000 1400 0200 04000000 b16b0000", "the next one's header, as above"),
    ("02 18 80 00", "AF_INET, prefix length 24, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE"),
    ("01000000", "index 1"),
    ("0800 0100 0a00020f", "IFA_ADDRESS 10.0.2.15"),
    ("0800 0200 0a00020f", "IFA_LOCAL 10.0.2.15"),
    ("0700 0300 6c6f00 00", "IFA_LABEL “lo” and its padding"),
    ("0800 0800 80000000", "IFA_FLAGS"),
    ("1400 0600 ffffffff ffffffff b99c0300 b99c0300", "IFA_CACHEINFO"),
  ])

  static let link = fixture([
    ("40000000", "length 64"),
    ("1000", "RTM_NEWLINK"),
    ("0000", "no flags"),
    ("06000000", "sequence 6"),
    ("b16b0000", "to this socket"),
    ("00 00 0100", "family, padding, ARPHRD_ETHER"),
    ("02000000", "index 2"),
    ("43100100", "IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP"),
    ("00000000", "no changes"),
    ("0900 0300 6574683000 000000", "IFLA_IFNAME “eth0” and its padding"),
    ("0a00 0100 525400123456 0000", "IFLA_ADDRESS 52:54:00:12:34:56 and its padding"),
    ("0800 0400 dc050000", "IFLA_MTU 1500"),
  ])

  static let done = fixture([
    ("14000000", "length 20"),
    ("0300", "NLMSG_DONE"),
    ("0200", "NLM_F_MULTI"),
    ("04000000", "sequence 4"),
    ("b16b0000", "to this socket"),
    ("00000000", "no error"),
  ])

  static let getCounter = fixture([
    ("38000000", "length 56"),
    ("130a", "NFT_MSG_GETOBJ of NFNL_SUBSYS_NFTABLES"),
    ("0500", "NLM_F_REQUEST | NLM_F_ACK"),
    ("07000000", "sequence 7"),
    ("00000000", "to the kernel"),
    ("01 00 0000", "NFPROTO_INET, NFNETLINK_V0, resource 0"),
    ("0b00 0100 68616563686900 00", "NFTA_OBJ_TABLE “haechi” and its padding"),
    ("0f00 0200 756e6465636c6172656400 00", "NFTA_OBJ_NAME “undeclared” and its padding"),
    ("0800 0300 00000001", "NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER"),
  ])

  static let counter = fixture([
    ("68000000", "length 104"),
    ("120a", "NFT_MSG_NEWOBJ of NFNL_SUBSYS_NFTABLES"),
    ("0000", "no flags"),
    ("07000000", "sequence 7"),
    ("11000000", "to this socket"),
    ("01 00 0005", "NFPROTO_INET, NFNETLINK_V0, generation 5 of the rules"),
    ("0b00 0100 68616563686900 00", "NFTA_OBJ_TABLE “haechi” and its padding"),
    ("0f00 0200 756e6465636c6172656400 00", "NFTA_OBJ_NAME “undeclared” and its padding"),
    ("0800 0300 00000001", "NFTA_OBJ_TYPE: NFT_OBJECT_COUNTER"),
    ("0c00 0600 0000000000000004", "NFTA_OBJ_HANDLE"),
    ("0800 0500 00000003", "NFTA_OBJ_USE: three rules"),
    ("1c00 0400", "NFTA_OBJ_DATA, 28 bytes with its header"),
    ("0c00 0100 0000000000000057", "NFTA_COUNTER_BYTES 87"),
    ("0c00 0200 0000000000000003", "NFTA_COUNTER_PACKETS 3"),
  ])

  static let noTable = fixture([
    ("2c000000", "length 44"),
    ("0200", "NLMSG_ERROR"),
    ("0003", "NLM_F_CAPPED | NLM_F_ACK_TLVS"),
    ("07000000", "sequence 7"),
    ("11000000", "to this socket"),
    ("feffffff", "-2: ENOENT"),
    ("38000000 130a 0500 07000000 00000000", "the request's header"),
    ("0800 0200 14000000", "NLMSGERR_ATTR_OFFS: the attribute at byte 20"),
  ])

  static let all = [
    setLinkUp, replaceAddress, replaceDefaultRoute, acknowledgement, refusal, addresses, link, done, getCounter, counter, noTable,
  ]
}
