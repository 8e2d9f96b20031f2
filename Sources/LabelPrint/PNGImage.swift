internal import CPng

/// A QR code as a PNG file (ISO/IEC 15948), black on white.
public enum PNGImage {
  /// - Parameter scale: pixels a module, 1…32. 8 gives 360 pixels for a label: 30 mm at 300 dots an inch.
  /// - Throws: `image-failed`, with libpng's reason.
  public static func encode(_ code: QRCode, scale: Int = 8) throws(LabelPrintError) -> [UInt8] {
    guard (1...32).contains(scale) else { throw LabelPrintError("image-failed", "a module has 1 to 32 pixels a side, not \(scale)") }
    let side = code.width * scale
    var pixels = [UInt8](repeating: 255, count: side * side)
    for row in 0..<side {
      for column in 0..<side where code.isDark[row / scale * code.width + column / scale] { pixels[row * side + column] = 0 }
    }
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    image.width = UInt32(side)
    image.height = UInt32(side)
    // One byte a pixel: PNG_FORMAT_GRAY is no flag at all.
    image.format = 0
    defer { png_image_free(&image) }
    var count = png_alloc_size_t(0)
    guard png_image_write_to_memory(&image, nil, &count, 0, pixels, 0, nil) != 0 else { throw failure(image) }
    var bytes = [UInt8](repeating: 0, count: count)
    guard png_image_write_to_memory(&image, &bytes, &count, 0, pixels, 0, nil) != 0, count <= bytes.count else { throw failure(image) }
    return Array(bytes[..<count])
  }

  private static func failure(_ image: png_image) -> LabelPrintError {
    var message = image.message
    let words = withUnsafeBytes(of: &message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    return LabelPrintError("image-failed", "the image of a label could not be made: \(words)")
  }
}
