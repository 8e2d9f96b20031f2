// Names, by the C library's stub resolver, of name servers that the caller names.
#pragma once
#include <stdint.h>

#define HAECHI_RESOLVE_NO_SUCH_NAME -1
#define HAECHI_RESOLVE_NO_ANSWER -2
#define HAECHI_RESOLVE_REFUSED -3

#define HAECHI_RECORD_A 1
#define HAECHI_RECORD_AAAA 28

/// The whole answer (RFC 1035 section 4) to the question for `type` records of `name`, of the first name server that gives one. Servers: IPv4 addresses as
/// numbers, and UDP ports. No file is looked at, no suffix is added, TCP is never used, and it takes at most 2 s, twice, for each server.
/// Returns its length (0: the name has no such record), or a reason above.
int haechi_resolve(const char *name, int type, const uint32_t *servers, const uint16_t *ports, int server_count, uint8_t *answer, int capacity);
