#define _GNU_SOURCE
#include "linuxboard.h"

#include <errno.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/watchdog.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

// linux/socket.h has it for the kernel only.
#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int haechi_watchdog_set_timeout(int watchdog, int timeout_s) {
  if (ioctl(watchdog, WDIOC_SETTIMEOUT, &timeout_s) != 0) return -1;
  int taken_s = 0;
  if (ioctl(watchdog, WDIOC_GETTIMEOUT, &taken_s) != 0) return -1;
  return taken_s;
}

int haechi_watchdog_feed(int watchdog) { return ioctl(watchdog, WDIOC_KEEPALIVE, 0); }

int haechi_machine_restart(void) {
  sync();
  return reboot(RB_AUTOBOOT);
}

int haechi_machine_power_off(void) {
  sync();
  (void)reboot(RB_POWER_OFF);
  return reboot(RB_HALT_SYSTEM);
}

int haechi_netlink_socket(int protocol, uint32_t groups) {
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (s < 0) return -1;
  int one = 1;
  struct sockaddr_nl here = {.nl_family = AF_NETLINK, .nl_groups = groups};
  if (setsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one) != 0 ||
      setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one) != 0 || bind(s, (struct sockaddr *)&here, sizeof here) != 0) {
    int error = errno;
    close(s);
    errno = error;
    return -1;
  }
  return s;
}

ssize_t haechi_netlink_send(int socket, const void *bytes, size_t count) {
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  ssize_t sent;
  do sent = sendto(socket, bytes, count, 0, (struct sockaddr *)&kernel, sizeof kernel);
  while (sent < 0 && errno == EINTR);
  return sent;
}

ssize_t haechi_netlink_receive(int socket, void *bytes, size_t capacity, int *from_kernel) {
  struct sockaddr_nl sender = {0};
  socklen_t length = sizeof sender;
  ssize_t taken;
  do taken = recvfrom(socket, bytes, capacity, MSG_TRUNC | MSG_DONTWAIT, (struct sockaddr *)&sender, &length);
  while (taken < 0 && errno == EINTR);
  *from_kernel = taken >= 0 && length == sizeof sender && sender.nl_family == AF_NETLINK && sender.nl_pid == 0;
  return taken;
}

// fs/ext4/ext4.h; no header for user space has it.
#ifndef EXT4_IOC_RESIZE_FS
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)
#endif

int haechi_ext4_resize(int folder, uint64_t blocks) { return ioctl(folder, EXT4_IOC_RESIZE_FS, &blocks); }

int haechi_file_system_sync(int folder) { return syncfs(folder); }

int haechi_block_discard(int device, uint64_t length_bytes) {
  uint64_t range[2] = {0, length_bytes};
  return ioctl(device, BLKDISCARD, range);
}

int haechi_block_is_read_only(int device) {
  int is_read_only = 0;
  return ioctl(device, BLKROGET, &is_read_only) == 0 && is_read_only;
}

int haechi_partition_resize(int disk, int number, uint64_t first_byte, uint64_t size_bytes) {
  struct blkpg_partition partition = {.start = (long long)first_byte, .length = (long long)size_bytes, .pno = number};
  struct blkpg_ioctl_arg request = {.op = BLKPG_RESIZE_PARTITION, .datalen = sizeof partition, .data = &partition};
  return ioctl(disk, BLKPG, &request);
}

int haechi_cpu_has_aes(void) {
#ifdef __aarch64__
  return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
  return 0;
#endif
}
