#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <ucontext.h>

// Everything that the handler touches is made ready before: it allocates nothing and calls only what is safe in a handler.
static uint8_t record[256];
static int record_size, record_descriptor, signal_offset, place_offset;
static uint8_t spare_stack[16 * 1024];

// The linker's names for the first byte of the image and the one after its last.
extern const char __ehdr_start[], _end[];

static uint64_t place_of(const ucontext_t *context) {
#if defined(__x86_64__)
  return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
  return (uint64_t)context->uc_mcontext.pc;
#else
#error "the crash record knows the program counter of x86_64 and aarch64 only"
#endif
}

static void crashed(int number, siginfo_t *info, void *context) {
  (void)info;
  // Relative to the image: the record must not tell where it was loaded, nor how far from a library. 0 stands for elsewhere.
  uint64_t place = place_of(context) - (uint64_t)(uintptr_t)__ehdr_start;
  if (place >= (uint64_t)(_end - __ehdr_start)) place = 0;
  record[signal_offset] = (uint8_t)('0' + number / 10 % 10);
  record[signal_offset + 1] = (uint8_t)('0' + number % 10);
  for (int digit = 15; digit >= 0; digit--, place >>= 4) record[place_offset + digit] = (uint8_t) "0123456789abcdef"[place & 15];
  send(record_descriptor, record, (size_t)record_size, MSG_DONTWAIT | MSG_NOSIGNAL);
  // SA_RESETHAND put the default action back: returning runs the faulting instruction again, and a raised signal is raised again.
  raise(number);
}

int haechi_record_crashes(int descriptor, const uint8_t *packet, int size, int signal_at, int place_at) {
  if (size < 0 || size > (int)sizeof record || signal_at < 0 || signal_at + 2 > size || place_at < 0 || place_at + 16 > size) return -EINVAL;
  memcpy(record, packet, (size_t)size);
  record_size = size;
  record_descriptor = descriptor;
  signal_offset = signal_at;
  place_offset = place_at;
  // A stack of its own, so that a stack overflow of the first thread is recorded too.
  stack_t stack = {.ss_sp = spare_stack, .ss_size = sizeof spare_stack};
  if (sigaltstack(&stack, NULL) != 0) return -errno;
  struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};
  const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
  for (unsigned i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
    if (sigaction(fatal[i], &action, NULL) != 0) return -errno;
  return 0;
}
