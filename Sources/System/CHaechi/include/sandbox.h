// What a process gives up for good. Every function returns -errno where it fails.
#pragma once
#include <linux/filter.h>
#include <asm/unistd.h>
#include <stdint.h>
#include <sys/types.h>

/// How many threads this process has, or -errno.
int haechi_thread_count(void);

/// Empties the capability bounding set, drops every supplementary group and becomes `uid` and `gid` for good (real, effective, saved). Returns 0, or -errno.
int haechi_become(uid_t uid, gid_t gid);
/// Empties the ambient, bounding, inheritable, permitted and effective capability sets. Without the right to change the bounding
/// set it is left alone, which gives nothing: no_new_privs keeps an execve from drawing on it. Returns 0, or -errno.
int haechi_drop_capabilities(void);
/// As `haechi_drop_capabilities`, but CAP_NET_ADMIN stays permitted and effective where this process has it: it may configure the network of its
/// own name space, and nothing else. Returns 0, or -errno.
int haechi_keep_network_capability(void);
/// As `haechi_drop_capabilities`, but what a disk takes stays where this process has it: CAP_SYS_ADMIN (mount, device mapper), CAP_MKNOD (its nodes),
/// CAP_CHOWN, CAP_FOWNER and CAP_DAC_OVERRIDE (the runtime's files), CAP_SYS_RESOURCE (growing a file system), CAP_IPC_LOCK (keys in locked memory).
int haechi_keep_storage_capabilities(void);
/// no_new_privs on, core dumps and tracing by others off, SIGKILL when the parent ends. Fails with -ESRCH where the parent has ended already.
int haechi_harden_process(pid_t parent);
/// The name that process lists show, at most 15 bytes. Returns 0, or -errno.
int haechi_name_process(const char *name);
/// Leaves every name space that reaches a network. Returns 0, or -errno.
int haechi_leave_network(void);

#define HAECHI_LIMIT_CORE 0
#define HAECHI_LIMIT_DESCRIPTORS 1
#define HAECHI_LIMIT_TASKS 2
/// Sets a resource limit, soft and hard. Returns 0, or -errno.
int haechi_limit(int which, uint64_t value);

/// A descriptor that only names `path` (O_PATH), or -errno.
int haechi_open_path(const char *path);
/// The version of Landlock that the kernel has, or -errno where it has none.
int haechi_landlock_version(void);
/// A new rule set (a descriptor, or -errno). `size` is how many bytes of {fs, net, scoped} this version of the kernel knows: 8, 16 or 24.
int haechi_landlock_make(uint64_t fs, uint64_t net, uint64_t scoped, int size);
int haechi_landlock_allow_path(int rules, int path, uint64_t access);
int haechi_landlock_allow_port(int rules, uint64_t port, uint64_t access);
int haechi_landlock_enforce(int rules);

/// Installs a seccomp filter for every thread. Returns 0, or -errno.
int haechi_install_filter(const struct sock_filter *filter, uint16_t count);

/// On a fatal signal: writes `packet` (a whole packet, at most 256 bytes) to `descriptor` with two decimal digits of the signal at `signal_at` and
/// sixteen hexadecimal digits of the place in the image (0 for a place in a library) at `place_at`, then lets the signal end the process. Returns 0, or -errno.
int haechi_record_crashes(int descriptor, const uint8_t *packet, int size, int signal_at, int place_at);
