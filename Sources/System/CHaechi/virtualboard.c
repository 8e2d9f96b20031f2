#include "virtualboard.h"

#include <sys/timerfd.h>
#include <time.h>

int haechi_timer_open(void) { return timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC); }

int haechi_timer_arm(int timer, uint64_t at_us) {
  struct itimerspec when = {0};
  when.it_value.tv_sec = (time_t)(at_us / 1000000);
  when.it_value.tv_nsec = (long)(at_us % 1000000) * 1000;
  return timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}
