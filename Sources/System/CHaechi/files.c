#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <stdio.h>

int haechi_exchange_files(const char *one, const char *two) { return renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE); }
