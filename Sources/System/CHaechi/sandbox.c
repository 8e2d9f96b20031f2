#define _GNU_SOURCE
#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int haechi_thread_count(void) {
  DIR *tasks = opendir("/proc/self/task");
  if (!tasks) return -errno;
  int count = 0;
  for (struct dirent *entry; (entry = readdir(tasks));) count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

// What no program that is ever executed could get back. Needs CAP_SETPCAP, so it comes before a change of user.
static int drop_bounding_set(void) {
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return -errno;
  return 0;
}

int haechi_become(uid_t uid, gid_t gid) {
  int result = drop_bounding_set();
  if (result != 0) return result;
  if (setgroups(0, NULL) != 0) return -errno;
  if (setresgid(gid, gid, gid) != 0) return -errno;
  if (setresuid(uid, uid, uid) != 0) return -errno;
  return 0;
}

// Keeps of the permitted capabilities those whose bits are in `kept` (the first 32 capabilities; no other one is ever kept).
static int keep_capabilities(uint32_t kept) {
  // A kernel before 4.3 has no ambient set: nothing to clear.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) return -errno;
  // A user of a development host may not, and after a change of user it is done already.
  int result = drop_bounding_set();
  if (result != 0 && result != -EPERM) return result;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {{0}};
  // Only where something is kept: what is not held cannot be asked for.
  if (kept != 0 && syscall(SYS_capget, &header, held) != 0) return -errno;
  struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3] = {{.effective = held[0].permitted & kept, .permitted = held[0].permitted & kept}};
  return syscall(SYS_capset, &header, left) == 0 ? 0 : -errno;
}

int haechi_drop_capabilities(void) { return keep_capabilities(0); }

int haechi_keep_network_capability(void) { return keep_capabilities(1U << CAP_NET_ADMIN); }

int haechi_keep_storage_capabilities(void) {
  return keep_capabilities(1U << CAP_SYS_ADMIN | 1U << CAP_MKNOD | 1U << CAP_CHOWN | 1U << CAP_FOWNER | 1U << CAP_DAC_OVERRIDE |
                           1U << CAP_SYS_RESOURCE | 1U << CAP_IPC_LOCK);
}

int haechi_harden_process(pid_t parent) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return -errno;
  // A change of user clears it, so it is set again after one.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -errno;
  return getppid() == parent ? 0 : -ESRCH;
}

int haechi_name_process(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0) == 0 ? 0 : -errno; }

int haechi_leave_network(void) { return unshare(CLONE_NEWNET) == 0 ? 0 : -errno; }

int haechi_limit(int which, uint64_t value) {
  struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
  switch (which) {
    case HAECHI_LIMIT_CORE: return setrlimit(RLIMIT_CORE, &limit) == 0 ? 0 : -errno;
    case HAECHI_LIMIT_DESCRIPTORS: return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : -errno;
    case HAECHI_LIMIT_TASKS: return setrlimit(RLIMIT_NPROC, &limit) == 0 ? 0 : -errno;
    default: return -EINVAL;
  }
}

int haechi_open_path(const char *path) {
  int descriptor = open(path, O_PATH | O_CLOEXEC);
  return descriptor < 0 ? -errno : descriptor;
}

// The kernel's own numbers and shapes (linux/landlock.h), written out because a distribution's header may be older than the kernel that runs.
enum { landlock_create = 444, landlock_add = 445, landlock_restrict = 446, rule_path = 1, rule_port = 2 };
struct landlock_attributes { uint64_t fs, net, scoped; };
struct landlock_path { uint64_t access; int32_t parent; } __attribute__((packed));
struct landlock_port { uint64_t access, port; };

int haechi_landlock_version(void) {
  long version = syscall(landlock_create, NULL, 0, 1U);
  return version < 0 ? -errno : (int)version;
}

int haechi_landlock_make(uint64_t fs, uint64_t net, uint64_t scoped, int size) {
  struct landlock_attributes attributes = {fs, net, scoped};
  long rules = syscall(landlock_create, &attributes, (size_t)size, 0U);
  return rules < 0 ? -errno : (int)rules;
}

int haechi_landlock_allow_path(int rules, int path, uint64_t access) {
  struct landlock_path rule = {access, path};
  return syscall(landlock_add, rules, rule_path, &rule, 0U) == 0 ? 0 : -errno;
}

int haechi_landlock_allow_port(int rules, uint64_t port, uint64_t access) {
  struct landlock_port rule = {access, port};
  return syscall(landlock_add, rules, rule_port, &rule, 0U) == 0 ? 0 : -errno;
}

int haechi_landlock_enforce(int rules) { return syscall(landlock_restrict, rules, 0U) == 0 ? 0 : -errno; }

int haechi_install_filter(const struct sock_filter *filter, uint16_t count) {
  struct sock_fprog program = {.len = count, .filter = (struct sock_filter *)filter};
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  // A positive result is a thread that could not be brought under the filter.
  return result == 0 ? 0 : result > 0 ? -ESRCH : -errno;
}
