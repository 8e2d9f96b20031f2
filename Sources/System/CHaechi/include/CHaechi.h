// The few C lines that Swift cannot say: system calls that Swift hides (fork), variadic calls, and macros.
#pragma once
#include <sys/types.h>

#include "linuxboard.h"
#include "virtualboard.h"

/// fork(2), which Swift's overlay hides. Only for a process with one thread.
pid_t haechi_fork(void);
