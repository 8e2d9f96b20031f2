// The floor: what this kernel and one TCP port cost, with nothing else. PID 1 of its own machine, statically linked.
//
// It gives its interface the address 192.0.2.50, listens on port 8443 and answers whoever connects with the machine's memory, in plain
// text: no TLS, no parser, no confinement.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_address(int control, unsigned long request, const char *text) {
  struct ifreq interface = {.ifr_name = "eth0"};
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) return -1;
  memcpy(&interface.ifr_addr, &address, sizeof address);
  return ioctl(control, request, &interface);
}

/// Up first, and the address once there is a carrier: what the kernel sends before is dropped and sent again a second later.
static int bring_up(void) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq interface = {.ifr_name = "eth0", .ifr_flags = IFF_UP};
  if (control < 0 || ioctl(control, SIOCSIFFLAGS, &interface)) return -1;
  while (ioctl(control, SIOCGIFFLAGS, &interface) == 0 && !(interface.ifr_flags & IFF_RUNNING)) usleep(1000);
  return set_address(control, SIOCSIFADDR, "192.0.2.50") || set_address(control, SIOCSIFNETMASK, "255.255.255.0");
}

/// Appends a file below /proc to the answer.
static void send_file(int connection, const char *path) {
  char text[4096];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = file < 0 ? 0 : read(file, text, sizeof text);
  if (count > 0 && send(connection, text, (size_t)count, MSG_NOSIGNAL) < 0) count = 0;
  if (file >= 0) close(file);
}

int main(void) {
  mkdir("/proc", 0755);
  (void)mount("proc", "/proc", "proc", 0, NULL);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8443)};
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 16) || bring_up()) return 1;
  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    send_file(connection, "/proc/self/statm");
    send_file(connection, "/proc/meminfo");
    close(connection);
  }
}
