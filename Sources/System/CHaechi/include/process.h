// Processes, as the supervisor needs them. Every function returns -errno where it fails.
#pragma once
#include <stdint.h>
#include <sys/types.h>

/// fork(2), which Swift's overlay hides. Only for a process with one thread.
pid_t haechi_fork(void);

/// The file descriptor that the first handed one gets in the new process; the others follow.
#define HAECHI_FIRST_HANDED 3

/// Forks and executes this process's own image (/proc/self/exe, and nothing else ever) with `argv` and `envp`, both ending in NULL.
/// In it `handed[i]` is descriptor 3 + i (-1 leaves that one closed), every other descriptor is closed, descriptors 0 to 2 are
/// sealed and empty (2 is kept where `keep_stderr`), every signal has its default action and is unblocked, it leads its own
/// session, and it dies with its parent. Returns its process id, or -errno. It ends with status 127 where it could not execute.
pid_t haechi_start_self(const char *const argv[], const char *const envp[], const int *handed, int handed_count, int keep_stderr);

/// In a forked child that does not execute: closes every descriptor but 0 to 2 and `kept`, which becomes descriptor 3;
/// sets every signal to its default and unblocks it; makes it die with its parent; empties descriptors 0 to 2.
/// Returns 0, or -errno.
int haechi_worker_prologue(int kept, pid_t parent);

/// Gives descriptors 0 to 2, where closed, something harmless, so that no file of ours ever gets such a number. Returns 0, or -errno.
int haechi_fill_standard_descriptors(void);

/// pipe2(2): both ends close-on-exec and non-blocking. Returns 0, or -errno.
int haechi_pipe(int ends[2]);

/// Blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE, and returns a descriptor (signalfd) that they arrive on, or -errno.
int haechi_signal_descriptor(void);
/// The next signal that arrived, 0 where there is none, or -errno.
int haechi_take_signal(int descriptor);

/// A SOCK_SEQPACKET pair, both ends close-on-exec, the first one non-blocking. Returns 0, or -errno.
int haechi_packet_pair(int pair[2]);
/// 0 where `descriptor` is a SOCK_SEQPACKET socket of the Unix family; then `*peer` is the process that made the pair. Otherwise -errno.
int haechi_packet_peer(int descriptor, pid_t *peer);
