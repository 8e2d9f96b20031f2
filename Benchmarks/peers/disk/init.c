// How fast a disk is with and without encryption: PID 1 of its own machine, statically linked.
//
// Writes and reads the partition `data` as it is, and through dm-crypt with each cipher that Haechi uses, as it uses it (sectors of 4 KiB), past the
// kernel's cache. Each line on the console is `WAY<tab>KIND<tab>BYTES<tab>NANOSECONDS`; the last is `end`.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { rounds = 5, chunk_bytes = 1 << 20, part_bytes = 32 << 20, block_bytes = 4096, blocks = 64, header_sectors = 2048 };
static const char partition[] = "/dev/vda4";
static unsigned char *buffer;

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void say(const char *way, const char *kind, long long bytes, long long began_ns) {
  printf("%s\t%s\t%lld\t%lld\n", way, kind, bytes, now_ns() - began_ns);
}

/// Moves `bytes` in pieces of `size`; whether all of them were.
static int move(int file, int writes, long long bytes, size_t size, int flushes) {
  for (long long at = 0; at < bytes; at += (long long)size) {
    ssize_t moved = writes ? pwrite(file, buffer, size, at) : pread(file, buffer, size, at);
    if (moved != (ssize_t)size || (flushes && fdatasync(file))) return -1;
  }
  return writes ? fdatasync(file) : 0;
}

/// Writes, reads, and writes small blocks that must each be on the medium; whether it could.
static int measure(const char *way, const char *path) {
  int file = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
  if (file < 0) return -1;
  long long began_ns = now_ns();
  int failed = move(file, 1, part_bytes, chunk_bytes, 0);
  say(way, "write", part_bytes, began_ns);
  began_ns = now_ns();
  failed |= move(file, 0, part_bytes, chunk_bytes, 0);
  say(way, "read", part_bytes, began_ns);
  began_ns = now_ns();
  failed |= move(file, 1, blocks * block_bytes, block_bytes, 1);
  say(way, "durable", blocks, began_ns);
  close(file);
  return failed;
}

static struct dm_ioctl *request(const char *name, size_t size) {
  static char memory[4096];
  memset(memory, 0, sizeof memory);
  struct dm_ioctl *head = (struct dm_ioctl *)memory;
  head->version[0] = DM_VERSION_MAJOR;
  head->data_size = (unsigned)(sizeof *head + size);
  head->data_start = sizeof *head;
  strncpy(head->name, name, sizeof head->name - 1);
  return head;
}

/// Makes the device-mapper device number `number` over the partition; whether it could.
static int encrypt(int control, int number, const char *cipher, int key_bytes) {
  char name[16];
  snprintf(name, sizeof name, "bench%d", number);
  if (ioctl(control, DM_DEV_CREATE, request(name, 0))) return -1;
  struct dm_ioctl *table = request(name, 3000);
  struct dm_target_spec *target = (struct dm_target_spec *)((char *)table + table->data_start);
  table->target_count = 1;
  target->length = (256ULL << 20) / 512 - header_sectors;
  strcpy(target->target_type, "crypt");
  char *words = (char *)(target + 1);
  int length = sprintf(words, "%s ", cipher);
  for (int i = 0; i < key_bytes; i++) length += sprintf(words + length, "%02x", (unsigned)(i * 7 + 1) & 255);
  sprintf(words + length, " 0 %s %d 1 sector_size:4096", partition, header_sectors);
  if (ioctl(control, DM_TABLE_LOAD, table)) return -1;
  return ioctl(control, DM_DEV_SUSPEND, request(name, 0));
}

int main(void) {
  static const struct { const char *way, *cipher; int key_bytes; } ways[] = {
    {"AES-256-XTS", "aes-xts-plain64", 64}, {"Adiantum", "xchacha12,aes-adiantum-plain64", 32}};
  (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
  int console = open("/dev/console", O_WRONLY);
  if (console < 0) return 1;
  dup2(console, 1);
  setvbuf(stdout, NULL, _IONBF, 0);
  buffer = aligned_alloc(block_bytes, chunk_bytes);
  memset(buffer, 0x5a, chunk_bytes);
  int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC), failed = control < 0;
  for (int i = 0; !failed && i < 2; i++) failed = encrypt(control, i, ways[i].cipher, ways[i].key_bytes);
  for (int round = 0; !failed && round < rounds; round++) {
    failed = measure("not encrypted", partition);
    for (int i = 0; !failed && i < 2; i++) failed = measure(ways[i].way, i ? "/dev/dm-1" : "/dev/dm-0");
  }
  // What a wipe would have to do without encryption.
  int file = open(partition, O_WRONLY | O_DIRECT | O_CLOEXEC);
  for (int round = 0; !failed && round < 3; round++) {
    long long began_ns = now_ns();
    failed = move(file, 1, 256LL << 20, chunk_bytes, 0);
    say("overwriting the partition", "wipe", 1, began_ns);
  }
  printf(failed ? "failed\n" : "end\n");
  sync();
  reboot(RB_POWER_OFF);
  return 1;
}
