// What LinuxBoard needs beyond Swift's own import of glibc: ioctls, kernel structures and constants.
#pragma once
#include <linux/netlink.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/types.h>

/// Sets a watchdog's time-out (WDIOC_SETTIMEOUT), then asks which one it took (WDIOC_GETTIMEOUT). Seconds; -1 and errno where it failed.
int haechi_watchdog_set_timeout(int watchdog, int timeout_s);
/// Feeds a watchdog (WDIOC_KEEPALIVE). -1 and errno where it failed.
int haechi_watchdog_feed(int watchdog);

/// reboot(2): restarts the machine at once. Returns only where it failed.
int haechi_machine_restart(void);
/// reboot(2): switches the machine off, or halts it where it cannot be switched off. Returns only where it failed.
int haechi_machine_power_off(void);

/// A netlink socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER), non-blocking, closed on exec, bound to `groups` (a bit each), that answers with
/// the kernel's own error texts (NETLINK_EXT_ACK) and without repeating the request (NETLINK_CAP_ACK). -1 and errno where it failed.
int haechi_netlink_socket(int protocol, uint32_t groups);
/// Sends one datagram to the kernel.
ssize_t haechi_netlink_send(int socket, const void *bytes, size_t count);
/// Takes one datagram without waiting. `*from_kernel` says whether the kernel sent it: port 0, which no process can have.
/// The true length is returned, also where it is more than `capacity` (MSG_TRUNC).
ssize_t haechi_netlink_receive(int socket, void *bytes, size_t capacity, int *from_kernel);

/// Grows a mounted ext4 to so many of its blocks (EXT4_IOC_RESIZE_FS). -1 and errno where it failed.
int haechi_ext4_resize(int folder, uint64_t blocks);
/// Waits until a whole file system is on the medium (syncfs(2)). -1 and errno where it failed.
int haechi_file_system_sync(int folder);
/// Tells a block device that its content is of no use (BLKDISCARD). -1 and errno where it failed; EOPNOTSUPP where it has no such thing.
int haechi_block_discard(int device, uint64_t length_bytes);
/// Whether a block device is one that refuses every write (BLKROGET); false for what is none.
int haechi_block_is_read_only(int device);
/// Makes the kernel's idea of a partition larger (BLKPG_RESIZE_PARTITION). -1 and errno where it failed.
int haechi_partition_resize(int disk, int number, uint64_t first_byte, uint64_t size_bytes);
/// Whether this CPU has AES instructions.
int haechi_cpu_has_aes(void);
