import DeviceCore

#if HAECHI_PRODUCT_HOSTILE
  import HostileProduct
#else
  import Product
#endif

/// The one product that this image is linked with.
enum ThisProduct {
  #if HAECHI_PRODUCT_HOSTILE
    static func make() -> TakenOverNode { TakenOverNode() }
  #else
    static func make() -> ClimateNode { ClimateNode() }
  #endif
}
