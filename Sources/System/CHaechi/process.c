#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t haechi_fork(void) { return fork(); }

static void close_from(int first) {
  // close_range(2) is in every kernel that Haechi supports (5.9); a kernel without it gets the slow way.
  if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0) return;
  for (int descriptor = first; descriptor < 65536; descriptor++) close(descriptor);
}

static void default_signals(void) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);  // fails for SIGKILL and SIGSTOP: as it should
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

// Reads as empty; writes fail. /dev/null where there is one, for a PID 1 that has not yet mounted /dev a sealed memory file.
static int harmless_descriptor(void) {
  int descriptor = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (descriptor >= 0) return descriptor;
  descriptor = memfd_create("nothing", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  if (descriptor >= 0) fcntl(descriptor, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL);
  return descriptor;
}

int haechi_fill_standard_descriptors(void) {
  for (int number = 0; number < 3; number++) {
    if (fcntl(number, F_GETFD) >= 0) continue;
    int harmless = harmless_descriptor();
    if (harmless < 0) return -errno;
    if (harmless == number) {
      fcntl(harmless, F_SETFD, 0);
      continue;
    }
    if (dup2(harmless, number) < 0) return -errno;
    close(harmless);
  }
  return 0;
}

static int empty_standard_descriptors(int keep_stderr) {
  int harmless = harmless_descriptor();
  if (harmless < 0) return -errno;
  for (int number = 0; number < (keep_stderr ? 2 : 3); number++)
    if (dup2(harmless, number) < 0) return -errno;
  if (harmless > 2) close(harmless);
  return 0;
}

// The parent may have ended between fork and prctl: then nobody would send the signal.
static int die_with(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -errno;
  return getppid() == parent ? 0 : -ESRCH;
}

enum { most_handed = 8 };

static int hand_over(const int *handed, int count) {
  int safe[most_handed];
  // First out of the way of the numbers that they will get, then to those.
  for (int i = 0; i < count; i++) {
    safe[i] = -1;
    if (handed[i] < 0) continue;
    safe[i] = fcntl(handed[i], F_DUPFD_CLOEXEC, HAECHI_FIRST_HANDED + most_handed);
    if (safe[i] < 0) return -errno;
  }
  for (int i = 0; i < count; i++) {
    if (safe[i] < 0) close(HAECHI_FIRST_HANDED + i);
    else if (dup2(safe[i], HAECHI_FIRST_HANDED + i) < 0) return -errno;
  }
  close_from(HAECHI_FIRST_HANDED + count);
  return 0;
}

pid_t haechi_start_self(const char *const argv[], const char *const envp[], const int *handed, int count, int keep_stderr) {
  if (count < 0 || count > most_handed) return -EINVAL;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0) return -errno;
  if (child > 0) return child;
  if (die_with(parent) == 0 && hand_over(handed, count) == 0 && empty_standard_descriptors(keep_stderr) == 0) {
    setsid();  // a Ctrl-C at a developer's terminal is for the supervisor, which ends the runtime in order
    default_signals();
    execve("/proc/self/exe", (char *const *)argv, (char *const *)envp);
  }
  _exit(127);
}

int haechi_worker_prologue(int kept, pid_t parent) {
  int error = die_with(parent);
  if (error == 0) error = hand_over(&kept, 1);
  if (error == 0) error = empty_standard_descriptors(0);
  default_signals();
  return error;
}

int haechi_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno; }

int haechi_signal_descriptor(void) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigaddset(&wanted, SIGHUP);
  if (sigprocmask(SIG_BLOCK, &wanted, NULL) != 0) return -errno;
  signal(SIGPIPE, SIG_IGN);
  int descriptor = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

int haechi_take_signal(int descriptor) {
  struct signalfd_siginfo info;
  ssize_t count;
  do count = read(descriptor, &info, sizeof info);
  while (count < 0 && errno == EINTR);
  if (count == (ssize_t)sizeof info) return (int)info.ssi_signo;
  return count < 0 && errno != EAGAIN ? -errno : 0;
}

int haechi_packet_pair(int pair[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -errno;
  if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0) return 0;
  int error = errno;
  close(pair[0]);
  close(pair[1]);
  return -error;
}

int haechi_packet_peer(int descriptor, pid_t *peer) {
  int type = 0, family = 0;
  socklen_t size = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return -errno;
  size = sizeof family;
  if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) return -errno;
  if (type != SOCK_SEQPACKET || family != AF_UNIX) return -EPROTOTYPE;
  struct ucred maker;
  size = sizeof maker;
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &maker, &size) != 0) return -errno;
  *peer = maker.pid;
  return 0;
}
