#include "CHaechi.h"

#include <unistd.h>

pid_t haechi_fork(void) { return fork(); }
