import COpenSSL
import Testing

@testable import LinuxBoard

/// What a TPM gives as numbers, as OpenSSL reads it.
@Suite struct ECDSAEncodingTests {
  @Test func signaturesAreWhatOpenSSLWrites() throws {
    var numbers: [[UInt8]] = [[1], [0x7f], [0x80], [0, 1], [UInt8](repeating: 0xff, count: 32), [0x7f] + [UInt8](repeating: 0, count: 31)]
    numbers.append([0] + [UInt8](repeating: 0x80, count: 31))
    for r in numbers {
      for s in numbers {
        let ours = try #require(ECDSAEncoding.signature(r: r, s: s))
        let signature = try #require(ECDSA_SIG_new())
        defer { ECDSA_SIG_free(signature) }
        // It takes over both numbers.
        #expect(ECDSA_SIG_set0(signature, BN_bin2bn(r, CInt(r.count), nil), BN_bin2bn(s, CInt(s.count), nil)) == 1)
        var theirs = [UInt8](repeating: 0, count: Int(i2d_ECDSA_SIG(signature, nil)))
        theirs.withUnsafeMutableBufferPointer { buffer in
          var cursor = buffer.baseAddress
          _ = i2d_ECDSA_SIG(signature, &cursor)
        }
        #expect(ours == theirs)
      }
    }
  }

  @Test func publicKeysAreWhatOpenSSLReads() throws {
    // The generator of P-256 (FIPS 186-5; SEC 2, 2.4.2) from OpenSSL itself.
    let group = try #require(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1))
    defer { EC_GROUP_free(group) }
    var point = [UInt8](repeating: 0, count: 65)
    #expect(EC_POINT_point2oct(group, EC_GROUP_get0_generator(group), POINT_CONVERSION_UNCOMPRESSED, &point, 65, nil) == 65)
    let der = try #require(ECDSAEncoding.publicKey(x: Array(point[1...32]), y: Array(point[33...])))
    let key = der.withUnsafeBufferPointer { bytes in
      var cursor = bytes.baseAddress
      return d2i_PUBKEY(nil, &cursor, bytes.count)
    }
    #expect(key != nil && EVP_PKEY_get_bits(key) == 256)
    EVP_PKEY_free(key)
    #expect(der.count == 91 && der.suffix(64) == point.suffix(64))
    // A coordinate that begins with zeros may come short.
    #expect(ECDSAEncoding.publicKey(x: [5], y: [UInt8](repeating: 1, count: 32))?.suffix(64).prefix(32) == ([UInt8](repeating: 0, count: 31) + [5])[...])
  }

  @Test func whatIsNoNumberOfTheCurveIsRefused() {
    let whole = [UInt8](repeating: 1, count: 32)
    for wrong in [[], [0], [0, 0], [UInt8](repeating: 1, count: 33)] as [[UInt8]] {
      #expect(ECDSAEncoding.signature(r: wrong, s: whole) == nil && ECDSAEncoding.signature(r: whole, s: wrong) == nil)
    }
    for wrong in [[], [UInt8](repeating: 1, count: 33)] as [[UInt8]] {
      #expect(ECDSAEncoding.publicKey(x: wrong, y: whole) == nil && ECDSAEncoding.publicKey(x: whole, y: wrong) == nil)
    }
  }
}
