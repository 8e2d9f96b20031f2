public import Crypto

/// Haechi's own object identifiers. The base is an arc made from a UUID (ITU-T X.667): nobody has to be asked for it, and a fork may keep it.
public enum HaechiObjectIdentifier {
  private static let base = "2.25.86869528671686314334224178961834048173"

  /// Extended key usage of a device (IDevID, LDevID).
  public static let deviceUsage = ASN1ObjectIdentifier(known: base + ".1.1")
  /// Extended key usage of a person or a person's tool.
  public static let personUsage = ASN1ObjectIdentifier(known: base + ".1.2")
  /// Extended key usage of a maker's station, which provisions.
  public static let stationUsage = ASN1ObjectIdentifier(known: base + ".1.3")
  /// Extension that holds a person's role: UTF8String, not critical.
  public static let role = ASN1ObjectIdentifier(known: base + ".2.1")
  /// The type of hardware in an IDevID (hwType, RFC 4108 section 5) where the maker has none of its own.
  public static let hardwareType = ASN1ObjectIdentifier(known: base + ".3.1")
}
