internal import BoardAPI
internal import Foundations
internal import SupervisorLink

extension Supervisor {
  /// Reads what the runtime sent, a bounded number of packets a turn.
  func takePackets() {
    for _ in 0..<max(limits.packetsPerTurn, 1) {
      guard case .alive(var runtime) = state else { return }
      switch host.receive() {
      case .empty: return
      case .closed:
        lostLink()
        return
      case .packet(let bytes):
        let now_us = host.now_us()
        let isWithinRate = runtime.rate.take(now_us: now_us)
        state = .alive(runtime)
        guard isWithinRate else {
          condemn(.violation, "it floods the link with more than \(limits.packetsPerSecond) packets a second")
          return
        }
        take(bytes, now_us: now_us)
      }
    }
  }

  private func take(_ bytes: [UInt8], now_us: UInt64) {
    do throws(LinkError) {
      handle(try SupervisorPacket.decodeRuntimeMessage(bytes), now_us: now_us)
    } catch {
      condemn(.violation, "it sent a packet that is refused: \(error.reason)")
    }
  }

  /// What a runtime that has ended had still sent. Only its log counts: its requests must not undo the safe state.
  func takeLastWords() {
    for _ in 0..<max(limits.packetsPerTurn, 1) {
      let received = host.receive()
      // A closed link would wake the loop for ever.
      if received == .closed { host.closeLink() }
      guard case .packet(let bytes) = received else { return }
      // What cannot be read is of no use any more.
      guard case .log(let level, let source, let text)? = try? SupervisorPacket.decodeRuntimeMessage(bytes) else { continue }
      keepLog(level, source, text)
    }
  }

  private func handle(_ message: RuntimeMessage, now_us: UInt64) {
    guard case .alive(var runtime) = state else { return }
    switch message {
    case .ready:
      guard !runtime.isReady else { return condemn(.violation, "it said twice that it serves") }
      runtime.isReady = true
      runtime.lastSign_us = now_us
      runtime.isForgiven = false
      state = .alive(runtime)
      policy.ready(at_us: now_us)
      say(.notice, "runtime \(runtime.process) serves after \(elapsed_us(since: runtime.started_us, now: now_us) / 1_000) ms")
    case .heartbeat(let count):
      if let last = runtime.heartbeat, count <= last { return condemn(.violation, "its heartbeat \(count) follows \(last)") }
      runtime.heartbeat = count
      runtime.lastSign_us = now_us
      runtime.isForgiven = false
      state = .alive(runtime)
      policy.heartbeat(at_us: now_us)
    case .setOutput(let request, let name, let value):
      tell(.answer(request: request, setOutput(name, value)))
    case .applyLease(let request, let lease):
      let outcome = apply(lease, now_us: now_us)
      // Its resolvers may be asked once the rules let them through.
      if let outcome = outcome == .done ? answerWhenInForce(request) : outcome { tell(.answer(request: request, outcome)) }
    case .dropLease(let request):
      tell(.answer(request: request, dropLease()))
    case .setHostName(let request, let name):
      tell(.answer(request: request, setHostName(name)))
    case .log(let level, let source, let text):
      keepLog(level, source, text)
    case .raiseGrade(let request, let grade, let cause, let evidence):
      tell(.answer(request: request, raiseAsAsked(grade, cause, evidence: evidence)))
    case .pinOwner(let request, let device, let certificate):
      if let outcome = pin(PinnedOwner(device: device, certificate: certificate), request: request) { tell(.answer(request: request, outcome)) }
    case .statement(let request, let statement):
      if let outcome = judge(statement, request: request) { tell(.answer(request: request, outcome)) }
    case .commitIdentity(let request):
      if let outcome = commitIdentity(request) { tell(.answer(request: request, outcome)) }
    case .destinationAddresses(let request, let addresses):
      if let outcome = takeAddresses(addresses, request: request, now_us: now_us) { tell(.answer(request: request, outcome)) }
    case .peerMoved(let request, let from, let address):
      if let outcome = movePeer(from: from, to: address, request: request, now_us: now_us) { tell(.answer(request: request, outcome)) }
    case .allowWipe(let request):
      if let outcome = allowWipe(request, now_us: now_us) { tell(.answer(request: request, outcome)) }
    case .remakeStorage(let request):
      if let outcome = remakeStorage(request, now_us: now_us) { tell(.answer(request: request, outcome)) }
    case .revocations(let request, let list):
      if let outcome = take(revocations: list, request: request) { tell(.answer(request: request, outcome)) }
    case .audit(let device, let event):
      takeAudit(event, device: device)
    case .exportAudit(let request):
      if let outcome = exportAudit(request: request) { tell(.answer(request: request, outcome)) }
    case .sign(let request, let digest):
      if let outcome = sign(digest, request: request, now_us: now_us) { tell(.answer(request: request, outcome)) }
    case .recoveryOffer(let request):
      if let outcome = offerRecovery(request: request) { tell(.answer(request: request, outcome)) }
    }
  }

  /// The runtime keeps its own log for the API; here it goes to the console of a debug image. Errors are kept for its successor too, who has
  /// no other way to know them: the record of a crash is one.
  private func keepLog(_ level: LogLevel, _ source: ShortName, _ text: String) {
    let line = SupervisorLog.Line(level: level, at_us: host.now_us(), text: text)
    log.write(line, source: source.text)
    if level == .error { log.keep(SupervisorLog.Line(level: level, at_us: line.at_us, text: "\(source): \(text)")) }
  }

  private func setOutput(_ name: ShortName, _ value: Bool) -> RequestOutcome {
    guard let line = board.lines.first(where: { $0.name == name.text }), case .output = line.role else { return .unknownName }
    // In quarantine every output keeps its safe value, whatever is asked.
    guard guardState.grade < .quarantined else { return .notInThisGrade }
    if name.text == SupervisorPacket.presenceLight {
      hand.wanted = value
      // Shown once the hand has left the button.
      guard hand.shown == nil else { return .done }
    }
    do throws(BoardError) {
      try board.gpio.set(name.text, to: value)
      return .done
    } catch {
      say(.error, "output \(name): \(error)")
      return .failed
    }
  }

  private func apply(_ lease: NetworkLease, now_us: UInt64) -> RequestOutcome {
    switch LeaseCheck.configuration(of: lease) {
    case .failure(let refusal):
      say(.error, "lease refused: \(refusal.reason)")
      return .refused
    case .success(let configuration):
      do throws(BoardError) {
        try board.network.apply(configuration)
      } catch {
        say(.error, "lease: \(error)")
        return .failed
      }
      // For ever (RFC 2131 section 3.3) or until then, also where the runtime that asked for it is gone.
      leaseEnds_us = lease.valid_s == .max ? nil : later(now_us, by: UInt64(lease.valid_s) &* 1_000_000)
      if lease.prefix != leasePrefix { forgetMovedPeers(now_us: now_us) }
      leasePrefix = lease.prefix
      take(resolvers: lease.resolvers.filter { $0 != 0 }.map(NetworkAddress.init(ipv4:)), now_us: now_us)
      say(.info, "address \(LeaseCheck.dotted(lease.prefix.address))/\(lease.prefix.prefixLength), router \(LeaseCheck.dotted(lease.router))")
      return .done
    }
  }

  /// Those of the lease before stay declared until the next: an answer may still be on its way, and a question to it is no attack.
  private func take(resolvers new: [NetworkAddress], now_us: UInt64) {
    guard new != newestResolvers else { return }
    guard resolverRate.take(now_us: now_us) else { return say(.warning, "the resolvers change too often; the newest are not let through") }
    let former = newestResolvers
    newestResolvers = new
    let wanted = new + former.filter { !new.contains($0) }
    guard wanted != resolvers else { return }
    resolvers = wanted
    policyIsStale = true
  }

  private func dropLease() -> RequestOutcome {
    leaseEnds_us = nil
    do throws(BoardError) {
      try board.network.clear()
      leasePrefix = nil
      say(.info, "the address is given up")
      return .done
    } catch {
      say(.error, "lease: \(error)")
      return .failed
    }
  }

  /// An address is never used past its time, whatever became of the client that should renew it.
  func checkLease(now_us: UInt64) {
    guard let leaseEnds_us, now_us >= leaseEnds_us else { return }
    say(.warning, "the lease was not renewed in time")
    _ = dropLease()
  }

  private func setHostName(_ name: ShortName) -> RequestOutcome {
    guard LeaseCheck.isHostName(name) else { return .refused }
    do throws(BoardError) {
      try board.network.setHostName(name.text)
      return .done
    } catch {
      say(.error, "host name: \(error)")
      return .failed
    }
  }

  func takeInputs() {
    guard host.now_us() >= inputsPausedUntil_us else { return }
    do throws(BoardError) {
      for event in try board.gpio.takeEvents() {
        guard let name = ShortName(event.name) else { continue }
        if name.text == SupervisorPacket.presenceLine { buttonChanged(event, now_us: host.now_us()) }
        tell(.input(name: name, value: event.value, at_us: event.at_us))
      }
    } catch {
      inputsPausedUntil_us = later(host.now_us(), by: limits.brokenPartPause_us)
      say(.error, "inputs: \(error)")
    }
  }

  func takeCarrier() {
    guard board.network.eventDescriptor != nil, host.now_us() >= carrierPausedUntil_us else { return }
    do throws(BoardError) {
      let isUp = try board.network.takeCarrier()
      guard isUp != carrier else { return }
      carrier = isUp
      tell(.link(up: isUp))
      say(.info, "network link is \(isUp ? "up" : "down")")
    } catch {
      carrierPausedUntil_us = later(host.now_us(), by: limits.brokenPartPause_us)
      say(.error, "network link: \(error)")
    }
  }
}
