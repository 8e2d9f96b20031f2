// The few C lines that Swift cannot say: system calls that Swift hides (fork), variadic calls, and macros.
#pragma once
#include "files.h"
#include "linuxboard.h"
#include "process.h"
#include "resolver.h"
#include "sandbox.h"
#include "virtualboard.h"
