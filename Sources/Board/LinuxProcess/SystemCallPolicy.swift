internal import CHaechi
internal import Glibc

/// Which system calls a runtime may make. Data: `SeccompFilter` turns it into a program for the kernel.
///
/// Everything that is not listed kills the process: execve, ptrace, mount, bpf, io_uring, userfaultfd, keyctl, kill, fork … A violation is
/// evidence of an attack or of a fault that no test met, and either way the supervisor starts a clean one.
struct SystemCallPolicy {
  /// A test of one argument's low 32 bits.
  enum Condition: Equatable {
    /// Any of these values.
    case isOneOf(argument: Int, [UInt32])
    /// After `mask`, any of these values.
    case maskedIsOneOf(argument: Int, mask: UInt32, [UInt32])
    /// All 64 bits are zero (a null pointer).
    case isNull(argument: Int)
  }
  /// What happens where a condition does not hold.
  enum Otherwise: Equatable {
    case kill
    case fails(errno: UInt16)
  }
  struct Bounded {
    let number: CInt
    let conditions: [Condition]
    let otherwise: Otherwise
  }

  /// Allowed whatever the arguments.
  let free: [CInt]
  /// Allowed where all conditions hold.
  let bounded: [Bounded]
  /// Not there, so that libraries take another way.
  let missing: [CInt]

  /// - Parameter process: the runtime's own process id, the only one it may signal.
  static func runtime(process: UInt32) -> SystemCallPolicy {
    SystemCallPolicy(
      free: files + sockets + events + memory + threads + signals + facts + architecture,
      bounded: [
        // Families: local, IPv4, IPv6. No netlink, packet or vsock; and streams and datagrams only, nothing raw.
        Bounded(
          number: __NR_socket,
          conditions: [
            .isOneOf(argument: 0, [UInt32(AF_UNIX), UInt32(AF_INET), UInt32(AF_INET6)]),
            .maskedIsOneOf(argument: 1, mask: 0xf, [1, 2]),
          ], otherwise: .kill),
        // Memory is never executable after the start: no code is loaded or written, and no library opened late.
        Bounded(number: __NR_mmap, conditions: [.maskedIsOneOf(argument: 2, mask: UInt32(PROT_EXEC), [0])], otherwise: .kill),
        Bounded(number: __NR_mprotect, conditions: [.maskedIsOneOf(argument: 2, mask: UInt32(PROT_EXEC), [0])], otherwise: .kill),
        // Threads, never processes. All of these flags come with each thread that a C library makes.
        Bounded(
          number: __NR_clone,
          conditions: [.maskedIsOneOf(argument: 0, mask: cloneThread | cloneVM | cloneNewAny, [cloneThread | cloneVM])], otherwise: .kill),
        // raise(3) and abort(3), to itself only.
        Bounded(number: __NR_tgkill, conditions: [.isOneOf(argument: 0, [process])], otherwise: .kill),
        // Dispatch gives each of its threads a priority by its class; a thread's own only.
        Bounded(
          number: __NR_setpriority, conditions: [.isOneOf(argument: 0, [0]), .isOneOf(argument: 1, [0])], otherwise: .fails(errno: UInt16(EPERM))),
        // Limits may be read; raising them is not possible and lowering them not needed.
        Bounded(number: __NR_prlimit64, conditions: [.isNull(argument: 2)], otherwise: .fails(errno: UInt16(EPERM))),
        // Thread names, and names of memory areas (glibc). Everything else that prctl can do was done before.
        Bounded(number: __NR_prctl, conditions: [.isOneOf(argument: 0, [15, 16, 0x5356_4d41])], otherwise: .fails(errno: UInt16(EPERM))),
        // How many bytes wait (FIONREAD), non-blocking (FIONBIO). Others, as a stdio that asks for a terminal (TCGETS), hear that there is none.
        Bounded(number: __NR_ioctl, conditions: [.isOneOf(argument: 1, [0x541b, 0x5421])], otherwise: .fails(errno: UInt16(ENOTTY))),
      ],
      // clone3: its flags lie in memory, where a filter cannot look; the C library falls back on clone. socketpair: libmosquitto makes a pair to
      // wake a loop of its own that is not used here, and goes on without.
      missing: [__NR_clone3, __NR_socketpair])
  }

  private static let cloneVM: UInt32 = 0x0000_0100
  private static let cloneThread: UInt32 = 0x0001_0000
  /// Every flag that makes a new name space.
  private static let cloneNewAny: UInt32 = 0x7e02_0000

  /// Plain files, as far as Landlock lets it reach any.
  private static let files: [CInt] = [
    __NR_read, __NR_write, __NR_readv, __NR_writev, __NR_pread64, __NR_pwrite64, __NR_close, __NR_openat, __NR_lseek,
    __NR_fstat, __NR_newfstatat, __NR_statx, __NR_statfs, __NR_fstatfs, __NR_faccessat, __NR_faccessat2, __NR_readlinkat,
    __NR_getdents64, __NR_mkdirat, __NR_unlinkat, __NR_renameat, __NR_renameat2, __NR_ftruncate, __NR_fsync, __NR_fdatasync,
    __NR_fcntl, __NR_dup, __NR_dup3, __NR_pipe2, __NR_getcwd, __NR_sendfile, __NR_fadvise64,
  ]

  /// What NIO's channels and the link call.
  private static let sockets: [CInt] = [
    __NR_bind, __NR_listen, __NR_accept4, __NR_connect, __NR_getsockname, __NR_getpeername, __NR_setsockopt, __NR_getsockopt,
    __NR_sendto, __NR_recvfrom, __NR_sendmsg, __NR_recvmsg, __NR_sendmmsg, __NR_recvmmsg, __NR_shutdown,
  ]

  /// NIO's selector and Dispatch's event source.
  private static let events: [CInt] = [
    __NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_pwait, __NR_epoll_pwait2, __NR_eventfd2, __NR_timerfd_create,
    __NR_timerfd_settime, __NR_timerfd_gettime, __NR_ppoll, __NR_pselect6,
  ]

  private static let memory: [CInt] = [__NR_brk, __NR_munmap, __NR_mremap, __NR_madvise]

  /// POSIX threads, Swift concurrency, Dispatch.
  private static let threads: [CInt] = [
    __NR_futex, __NR_set_robust_list, __NR_rseq, __NR_set_tid_address, __NR_sched_yield, __NR_sched_getaffinity,
    __NR_sched_getparam, __NR_sched_getscheduler, __NR_sched_get_priority_max, __NR_sched_get_priority_min, __NR_membarrier,
    __NR_exit, __NR_exit_group,
  ]

  private static let signals: [CInt] = [
    __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_sigaltstack, __NR_restart_syscall,
  ]

  /// Asking who, when and how much; and random bytes.
  private static let facts: [CInt] = [
    __NR_getpid, __NR_getppid, __NR_gettid, __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid, __NR_uname, __NR_sysinfo,
    __NR_getrusage, __NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday,
    __NR_getrandom, __NR_getcpu,
  ]

  #if arch(x86_64)
    /// Older forms that only this architecture has and its C library still calls.
    private static let architecture: [CInt] = [
      __NR_open, __NR_stat, __NR_lstat, __NR_access, __NR_readlink, __NR_unlink, __NR_mkdir, __NR_rmdir, __NR_rename, __NR_poll,
      __NR_select, __NR_epoll_wait, __NR_epoll_create, __NR_dup2, __NR_pipe, __NR_time,
    ]
  #elseif arch(arm64)
    private static let architecture: [CInt] = []
  #else
    #error("the list of system calls is written for x86_64 and aarch64 only: add this architecture's numbers and its audit number")
  #endif
}
