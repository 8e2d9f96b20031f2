// Files, where Swift's own import of glibc ends.
#pragma once

/// Two files change names in one step (renameat2(2), RENAME_EXCHANGE). -1 and errno where it failed: ENOENT where either is not there.
int haechi_exchange_files(const char *one, const char *two);
