import CHaechi
import Testing

@testable import LinuxProcess

/// Runs the filter as the kernel would, on calls that no test could dare to make.
@Suite("The system call filter")
struct SeccompFilterTests {
  private let process: UInt32 = 4_711
  private var program: [sock_filter] { SeccompFilter.assemble(SystemCallPolicy.runtime(process: process)) }

  enum Fate: Equatable { case allowed, killed, fails(UInt32) }

  /// Classic BPF, as far as the filter uses it; nil for a program that the kernel would not take.
  private func fate(of number: CInt, _ arguments: [UInt64] = [], architecture: UInt32 = SeccompFilter.architecture) -> Fate? {
    var data = [UInt32](repeating: 0, count: 16)
    data[0] = UInt32(bitPattern: number)
    data[1] = architecture
    for (index, argument) in arguments.enumerated() {
      data[4 + index * 2] = UInt32(truncatingIfNeeded: argument)
      data[5 + index * 2] = UInt32(truncatingIfNeeded: argument >> 32)
    }
    let program = program
    var accumulator: UInt32 = 0
    var counter = 0
    while counter < program.count {
      let step = program[counter]
      counter += 1
      switch step.code {
      case SeccompFilter.load:
        guard step.k % 4 == 0, step.k < 64 else { return nil }
        accumulator = data[Int(step.k / 4)]
      case SeccompFilter.and: accumulator &= step.k
      case SeccompFilter.jumpIfEqual: counter += accumulator == step.k ? Int(step.jt) : Int(step.jf)
      case SeccompFilter.give:
        switch step.k {
        case SeccompFilter.allow: return .allowed
        case SeccompFilter.killProcess: return .killed
        default: return step.k >> 16 == 5 ? .fails(step.k & 0xffff) : nil
        }
      default: return nil
      }
    }
    return nil
  }

  @Test("the program is short enough for the kernel, and no block is cut by the reach of a jump")
  func size() {
    #expect(program.count < 4_096)
    let policy = SystemCallPolicy.runtime(process: process)
    for rule in policy.bounded { #expect(fate(of: rule.number) != nil) }
    #expect(program.allSatisfy { $0.jf < 100 && $0.jt < 100 })
  }

  @Test("what is listed is allowed, every other number kills")
  func everyNumber() {
    let policy = SystemCallPolicy.runtime(process: process)
    let bounded = Set(policy.bounded.map(\.number))
    #expect(bounded.isDisjoint(with: policy.free))
    for number in CInt(0)..<1_024 where !bounded.contains(number) {
      let expected: Fate = policy.free.contains(number) ? .allowed : policy.missing.contains(number) ? .fails(38) : .killed
      #expect(fate(of: number) == expected, "system call \(number)")
    }
    #expect(fate(of: -1) == .killed)
    #expect(fate(of: .max) == .killed)
  }

  @Test("what an attacker needs next kills")
  func attacks() {
    let attacks = [
      __NR_execve, __NR_execveat, __NR_ptrace, __NR_process_vm_readv, __NR_process_vm_writev, __NR_mount, __NR_umount2, __NR_pivot_root, __NR_chroot,
      __NR_setns, __NR_unshare, __NR_bpf, __NR_perf_event_open, __NR_io_uring_setup, __NR_io_uring_enter, __NR_userfaultfd, __NR_keyctl,
      __NR_add_key, __NR_request_key, __NR_init_module, __NR_finit_module, __NR_kexec_load, __NR_reboot, __NR_setuid, __NR_setresuid,
      __NR_setgid, __NR_capset, __NR_kill, __NR_tkill, __NR_rt_sigqueueinfo, __NR_pidfd_open, __NR_memfd_create, __NR_seccomp, __NR_mknodat,
      __NR_symlinkat, __NR_linkat, __NR_fchmodat, __NR_fchownat, __NR_sethostname, __NR_clock_settime, __NR_settimeofday, __NR_personality,
      __NR_swapon, __NR_acct, __NR_quotactl, __NR_open_by_handle_at, __NR_vmsplice, __NR_pkey_mprotect, __NR_shmget,
    ]
    for number in attacks { #expect(fate(of: number) == .killed, "system call \(number)") }
  }

  @Test("another architecture's numbers kill")
  func otherArchitecture() {
    for architecture in [0x4000_0003, 0x4000_0028, 0, .max] as [UInt32] {
      #expect(fate(of: __NR_read, architecture: architecture) == .killed)
    }
    // x32 numbers have bit 30.
    #expect(fate(of: __NR_read | 1 << 30) == .killed)
  }

  @Test("arguments are looked at")
  func arguments() {
    for family in UInt64(0)..<50 {
      #expect(fate(of: __NR_socket, [family, 1]) == ([1, 2, 10].contains(family) ? .allowed : .killed), "family \(family)")
    }
    for type in UInt64(0)..<16 {
      #expect(fate(of: __NR_socket, [2, type | 0o2004000]) == ([1, 2].contains(type) ? .allowed : .killed), "type \(type)")
    }
    for number in [__NR_mmap, __NR_mprotect] {
      for protection in UInt64(0)..<8 {
        #expect(fate(of: number, [0, 4_096, protection]) == (protection & 4 == 0 ? .allowed : .killed))
      }
    }
    // The flags of glibc's pthread_create, and of fork; and a thread in a new name space of users.
    #expect(fate(of: __NR_clone, [0x003d_0f00]) == .allowed)
    #expect(fate(of: __NR_clone, [0x0120_0011]) == .killed)
    #expect(fate(of: __NR_clone, [0x0000_4111]) == .killed)
    #expect(fate(of: __NR_clone, [0x103d_0f00]) == .killed)
    #expect(fate(of: __NR_clone3) == .fails(38))
    #expect(fate(of: __NR_tgkill, [UInt64(process), 1, 6]) == .allowed)
    #expect(fate(of: __NR_tgkill, [1, 1, 9]) == .killed)
    #expect(fate(of: __NR_setpriority, [0, 0, 5]) == .allowed)
    #expect(fate(of: __NR_setpriority, [0, 1, 5]) == .fails(1))
    #expect(fate(of: __NR_setpriority, [1, 0, 5]) == .fails(1))
    #expect(fate(of: __NR_prlimit64, [0, 7, 0, 99]) == .allowed)
    #expect(fate(of: __NR_prlimit64, [0, 7, 1, 0]) == .fails(1))
    #expect(fate(of: __NR_prlimit64, [0, 7, 1 << 40, 0]) == .fails(1))
    #expect(fate(of: __NR_prctl, [15]) == .allowed)
    #expect(fate(of: __NR_prctl, [22]) == .fails(1))
    #expect(fate(of: __NR_ioctl, [0, 0x541b]) == .allowed)
    #expect(fate(of: __NR_ioctl, [0, 0x5412]) == .fails(25))  // TIOCSTI
  }
}
