internal import Crypto
internal import Foundations
internal import Identity
internal import TLS

/// A blank device, as a station finds it.
struct BlankDevice: Sendable {
  let endpoint: Endpoint
  let deviceId: DeviceIdentifier
  /// SHA-256 of its key (SubjectPublicKeyInfo): 32 bytes.
  let keyHash: [UInt8]
  /// As the device names it.
  let hardwareModel: String
}

/// A device that has an identity of the station's maker already.
struct ProvisionedFacts: Sendable {
  let deviceId: DeviceIdentifier
  let keyHash: [UInt8]
  /// As its certificate says it.
  let serialNumber: String
  let hardwareModel: String
}

/// What a station does with one device, for a single command and for a line.
struct StationStep: Sendable {
  let station: Station
  let labels: LabelFiles
  private let hardwareType: ASN1ObjectIdentifier
  let now_s: Int64

  init(_ stationFolder: String, labelsFolder: String, hardwareType: String?, now_s: Int64) throws(OperatorError) {
    station = try Station(stationFolder, now_s: now_s)
    labels = LabelFiles(folder: labelsFolder)
    if let hardwareType {
      guard let identifier = ASN1ObjectIdentifier(hardwareType) else {
        throw OperatorError(
          "bad-argument", "'\(printable(hardwareType.prefix(80)))' is no object identifier: write numbers with points, such as 1.3.6.1.4.1.32473.1")
      }
      self.hardwareType = identifier
    } else {
      self.hardwareType = HaechiObjectIdentifier.hardwareType
    }
    self.now_s = now_s
  }

  /// Provisions the blank device at `endpoint`.
  ///
  /// - Parameter chooseSerialNumber: called once the device has proved its key and before anything is signed. What it wrote down is on the medium when it returns, and so is
  ///   the label before the device gets its certificate: whatever is cut off, no device is provisioned whose label is lost.
  /// - Throws: `already-provisioned`, naming the device, where it has an identity already.
  func run(
    _ endpoint: Endpoint, chooseSerialNumber: (BlankDevice) async throws(OperatorError) -> LabelSerialNumber
  ) async throws(OperatorError) -> ProvisionedDevice {
    var isBlank = false
    do throws(OperatorError) {
      let security = try ConnectionSecurity(
        credential: station.credential, trust: .selfSigned, peerName: "a blank device", policy: Profiles.refusalOfMakersDevice)
      return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
        isBlank = true
        return try await provision(connection, chooseSerialNumber)
      }
    } catch {
      // A blank device shows a self-signed certificate; whoever shows another has an identity.
      guard error.code == "wrong-device", !isBlank else { throw Self.advice(error, endpoint) }
      throw await refusal(endpoint)
    }
  }

  private func provision(
    _ connection: DeviceConnection, _ chooseSerialNumber: (BlankDevice) async throws(OperatorError) -> LabelSerialNumber
  ) async throws(OperatorError) -> ProvisionedDevice {
    let endpoint = connection.endpoint
    let client = DeviceClient(connection)
    let offer = try await client.get(ProvisioningOffer.self, "/v1/provisioning")
    let request = try Profiles.request(offer.certificateRequest, from: endpoint)
    // The handshake proved one key; a certificate for another would give an identity to something that is not at the wire.
    guard let peer = connection.peer, request.publicKey.digest == peer.publicKeyDigest else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) asks for a certificate for another key than the one that it proved in the handshake; nothing was signed")
    }
    let deviceId = try Profiles.deviceId(request, from: endpoint)
    guard offer.deviceId == deviceId.text else {
      throw OperatorError(
        "wrong-device",
        "\(endpoint) calls itself '\(printable(offer.deviceId.prefix(40)))', which is not the digest of its key; nothing was signed")
    }
    let keyHash = request.publicKey.digest
    let serialNumber = try await chooseSerialNumber(
      BlankDevice(endpoint: endpoint, deviceId: deviceId, keyHash: keyHash, hardwareModel: offer.hardwareModel))
    let label = try labels.label(serialNumber, keyHash: keyHash)
    let certificate = try Profiles.iDevID(
      issuer: station.issuer, key: request.publicKey, deviceId: deviceId, serialNumber: serialNumber.text, hardwareType: hardwareType, now_s: now_s)
    let order = ProvisioningOrder(
      serialNumber: serialNumber.text, certificateChain: certificate.pem, label: LabelOrder(try Self.verifier(label)))
    let answer = try await client.send(LifeCycleAnswer.self, DeviceRequest(.put, "/v1/provisioning", body: try encode(order)))
    guard answer.deviceId == deviceId.text, answer.lifeCycleState == "provisioned" else {
      throw OperatorError(
        "bad-answer",
        "\(endpoint) took its certificate and is now '\(printable(answer.lifeCycleState.prefix(40)))' instead of provisioned; see its log")
    }
    return ProvisionedDevice(
      deviceId: deviceId.text, serialNumber: serialNumber.text, keyDigest: hexadecimal(keyHash), address: endpoint.description,
      lifeCycleState: answer.lifeCycleState, labelFile: labels.textFile(serialNumber), label: label.text)
  }

  /// What the device gets of its label's code.
  private static func verifier(_ label: DeviceLabel) throws(OperatorError) -> LabelVerifier {
    do {
      return try LabelVerifier(code: label.code, parameters: try LabelParameters.fresh())
    } catch {
      throw OperatorError("file-unwritable", "the label of \(label.serialNumber) could not be made", cause: error)
    }
  }

  /// Who the device at `endpoint` is, where it has an identity of the station's maker and no owner yet. It is asked as a claimant is, since it takes no station.
  func facts(_ endpoint: Endpoint) async throws(OperatorError) -> ProvisionedFacts {
    let security = try ConnectionSecurity(
      credential: try Claiming.claimant(now_s: now_s), trust: .authorityAnyName([station.issuer.certificate]),
      peerName: "a device that this station's maker provisioned", policy: Profiles.refusalOfMakersDevice)
    return try await DeviceConnection.with(endpoint, security: security) { (connection) throws(OperatorError) in
      let info = try await DeviceClient(connection).info()
      guard let peer = connection.peer, let deviceId = DeviceIdentifier(publicKeyDigest: peer.publicKeyDigest), let serialNumber = peer.subjectSerialNumber,
        info.lifeCycleState == "provisioned"
      else { throw OperatorError("bad-answer", "\(endpoint) has an identity and says that it is '\(printable(info.lifeCycleState.prefix(40)))'") }
      return ProvisionedFacts(deviceId: deviceId, keyHash: peer.publicKeyDigest, serialNumber: serialNumber, hardwareModel: info.hardwareModel)
    }
  }

  /// Why a device that is not blank is not provisioned, with its name where it can be known.
  private func refusal(_ endpoint: Endpoint) async -> OperatorError {
    do throws(OperatorError) {
      let facts = try await facts(endpoint)
      return OperatorError(
        "already-provisioned",
        "device \(facts.deviceId), serial number \(printable(facts.serialNumber)), at \(endpoint) is provisioned already and was not touched; claim it with: haechi claim --device \(endpoint)"
      )
    } catch {
      return OperatorError(
        "already-provisioned",
        "the device at \(endpoint) is not blank and was not touched: it has an owner, or another maker provisioned it", cause: error)
    }
  }

  /// What a refusal means while a device is being provisioned.
  private static func advice(_ error: OperatorError, _ endpoint: Endpoint) -> OperatorError {
    guard error.code == "tls-refused" else { return error }
    return OperatorError(
      "tls-refused",
      "\(error.reason). The device's firmware pins another maker's CA than this station's, or the device is not blank any more",
      cause: error.cause)
  }
}
