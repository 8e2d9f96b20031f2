// What VirtualBoard needs beyond Swift's own import of glibc.
#pragma once
#include <stdint.h>
#include <sys/inotify.h>

/// A timerfd (timerfd_create(2), CLOCK_BOOTTIME), non-blocking and closed on exec. -1 and errno where it failed.
int haechi_timer_open(void);
/// Arms `timer` for an absolute time in microseconds since the kernel started; 0 disarms it. -1 and errno where it failed.
int haechi_timer_arm(int timer, uint64_t at_us);
