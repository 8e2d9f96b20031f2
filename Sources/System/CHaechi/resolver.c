#define _GNU_SOURCE
#include "resolver.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

int haechi_resolve(const char *name, int type, const uint32_t *servers, const uint16_t *ports, int server_count, uint8_t *answer, int capacity) {
  if (server_count < 1 || server_count > MAXNS) return HAECHI_RESOLVE_NO_ANSWER;
  // Filled by hand: res_ninit would read /etc/resolv.conf and the environment.
  struct __res_state state;
  memset(&state, 0, sizeof state);
  state.retrans = 2;
  state.retry = 2;
  // RES_IGNTC: an answer that is cut short is used as it is, because DNS over TCP is no declared flow.
  state.options = RES_INIT | RES_RECURSE | RES_IGNTC;
  state.ndots = 1;
  state._vcsock = -1;
  state.nscount = server_count;
  for (int i = 0; i < server_count; i++) {
    state.nsaddr_list[i].sin_family = AF_INET;
    state.nsaddr_list[i].sin_port = htons(ports[i]);
    state.nsaddr_list[i].sin_addr.s_addr = htonl(servers[i]);
  }
  int length = res_nquery(&state, name, ns_c_in, type, answer, capacity);
  int reason = state.res_h_errno;
  res_nclose(&state);
  // A length beyond the buffer is that of an answer that did not fit.
  if (length >= 0) return length > capacity ? capacity : length;
  switch (reason) {
    case HOST_NOT_FOUND: return HAECHI_RESOLVE_NO_SUCH_NAME;
    case NO_DATA: return 0;
    case NO_RECOVERY: return HAECHI_RESOLVE_REFUSED;
    default: return HAECHI_RESOLVE_NO_ANSWER;
  }
}
