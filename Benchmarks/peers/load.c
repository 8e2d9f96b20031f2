// The one client of every measurement: mutual TLS 1.3 by OpenSSL and HTTP/1.1 by hand, one thread, no copy that it can do without, so that
// it costs little beside the server. Prints one JSON object on standard output; see `usage`.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: load KIND -address A:P -certificate FILE -key FILE -authority FILE [-group X25519|P-256|X25519MLKEM768] [-path PATH]\n"
    "            [-connections N] [-seconds S | -count N] [-events N]\n"
    "  handshakes  connect, full handshake, one request, close\n"
    "  resumed     the same with a ticket of the connection before; fails where one is not taken\n"
    "  requests    one request after the other on each connection\n"
    "  refused     connect as somebody who is not let in; fails where no alert comes\n"
    "  mixed       every second connection is kept and asks each 5 ms, the others are made anew each 50 ms\n"
    "  idle        connections that asked once and then stand, until standard input ends\n"
    "  streams     readers of /v1/readings; from the request for one burst until each has read -events events\n";

enum kind { HANDSHAKES, RESUMED, REQUESTS, REFUSED, MIXED, IDLE, STREAMS };
static const char *const kinds[] = {"handshakes", "resumed", "requests", "refused", "mixed", "idle", "streams"};

static const char *address, *certificate, *key, *authority, *group = "X25519", *path = "/v1/info";
static int connections = 1, count, events = 500;
static double seconds = 2;

enum state { CLOSED, HANDSHAKE, WRITE, HEAD, BODY, STREAM, PAUSE, DONE };
struct connection {
  int fd;
  SSL *ssl;
  SSL_SESSION *session;
  enum state state;
  bool is_kept, is_control;
  const char *request;
  size_t request_length, written;
  char head[4096];
  size_t head_length;
  long long body_left;
  int seen, matched;
  uint64_t began_ns, resumes_ns;
};

static enum kind kind;
static SSL_CTX *context;
static struct sockaddr_in server;
static int poller;
static struct connection *all;
static char request[512], stream_request[512], burst_request[512];
static long long started, done, bytes, resumed, subscribed, finished;
static uint64_t first_ns, last_ns;
static uint32_t *latencies_ns;
static size_t latency_room;

static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static bool is_over(void) { return count > 0 ? started >= count : now_ns() >= last_ns; }

// A ticket came: the connection that comes after this one offers it.
static int keep_session(SSL *ssl, SSL_SESSION *session) {
  struct connection *connection = SSL_get_app_data(ssl);
  SSL_SESSION_free(connection->session);
  connection->session = session;
  return 1;
}

static void begin_request(struct connection *c) {
  c->written = c->head_length = 0;
  c->state = WRITE;
}

static void begin(struct connection *c) {
  started++;
  c->began_ns = now_ns();
  if (c->ssl) return begin_request(c);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) fail("socket: %s", strerror(errno));
  // On loopback this does not wait.
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0) fail("connect %s: %s", address, strerror(errno));
  if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) fail("fcntl: %s", strerror(errno));
  c->ssl = SSL_new(context);
  if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) fail("no memory");
  SSL_set_app_data(c->ssl, c);
  SSL_set_connect_state(c->ssl);
  if (kind == RESUMED && c->session && !SSL_set_session(c->ssl, c->session)) fail("the session cannot be offered");
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
  c->state = HANDSHAKE;
}

static void drop(struct connection *c) {
  SSL_shutdown(c->ssl);
  SSL_free(c->ssl);
  close(c->fd);
  c->ssl = NULL;
  c->state = CLOSED;
}

// The operation is complete: count it, and go on with the next.
static void complete(struct connection *c) {
  uint64_t taken_ns = now_ns() - c->began_ns;
  if ((size_t)done == latency_room) {
    latency_room = latency_room ? latency_room * 2 : 65536;
    latencies_ns = realloc(latencies_ns, latency_room * sizeof *latencies_ns);
    if (!latencies_ns) fail("no memory");
  }
  latencies_ns[done++] = taken_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)taken_ns;
  if (kind == IDLE || kind == STREAMS) {
    c->state = DONE;
    return;
  }
  if (!c->is_kept) drop(c);
  if (kind == MIXED) {
    c->resumes_ns = now_ns() + (c->is_kept ? 5000000u : 50000000u);
    c->state = PAUSE;
  } else if (is_over()) {
    c->state = DONE;
  } else {
    begin(c);
  }
}

// The fields of a whole head: its status, and the length of the body.
static void read_head(struct connection *c, size_t head_end) {
  c->head[head_end - 2] = 0;
  bool is_expected = strstr(c->head, " 200 ") || (!strcmp(path, "/nothing") && !strncmp(c->head, "HTTP/1.1 404 ", 13));
  if (!is_expected) fail("the answer is %.200s", c->head);
  if (kind == STREAMS && !c->is_control) {
    c->state = STREAM;
    subscribed++;
    return;
  }
  const char *field = strcasestr(c->head, "\ncontent-length:");
  if (!field) fail("the answer has no Content-Length: %.200s", c->head);
  c->body_left = strtoll(field + 16, NULL, 10) - (long long)(c->head_length - head_end);
  bytes += (long long)(c->head_length - head_end);
  c->state = BODY;
}

// Counts the events in what came: each has one line that begins with `data: `.
static void read_events(struct connection *c, const char *text, size_t length) {
  static const char mark[] = "\ndata: ";
  for (size_t index = 0; index < length; index++) {
    c->matched = text[index] == mark[c->matched] ? c->matched + 1 : text[index] == '\n';
    if (mark[c->matched]) continue;
    c->matched = 0;
    if (++c->seen == events) {
      finished++;
      c->state = DONE;
    }
  }
}

// Goes on with a connection until it must wait.
static void step(struct connection *c) {
  static char buffer[65536];
  for (;;) {
    int result = 1;
    ERR_clear_error();
    switch (c->state) {
    case HANDSHAKE:
      if ((result = SSL_do_handshake(c->ssl)) != 1) break;
      if (SSL_session_reused(c->ssl)) resumed++;
      begin_request(c);
      continue;
    case WRITE:
      // Who is refused only waits to hear it.
      if (kind != REFUSED) result = SSL_write(c->ssl, c->request + c->written, (int)(c->request_length - c->written));
      if (result <= 0) break;
      c->written += (size_t)result;
      if (c->written == c->request_length || kind == REFUSED) c->state = HEAD;
      continue;
    case HEAD:
      result = SSL_read(c->ssl, c->head + c->head_length, (int)(sizeof c->head - 1 - c->head_length));
      if (result <= 0) break;
      c->head_length += (size_t)result;
      c->head[c->head_length] = 0;
      char *end = strstr(c->head, "\r\n\r\n");
      if (!end && c->head_length == sizeof c->head - 1) fail("the head of the answer is too long");
      if (end) read_head(c, (size_t)(end - c->head) + 4);
      if (c->state == STREAM) read_events(c, end + 4, c->head_length - (size_t)(end + 4 - c->head));
      if (c->state == BODY && c->body_left == 0) complete(c);
      continue;
    case BODY:
      result = SSL_read(c->ssl, buffer, sizeof buffer);
      if (result <= 0) break;
      bytes += result;
      if ((c->body_left -= result) < 0) fail("the body is longer than its Content-Length");
      if (c->body_left == 0) complete(c);
      continue;
    case STREAM:
      result = SSL_read(c->ssl, buffer, sizeof buffer);
      if (result <= 0) break;
      read_events(c, buffer, (size_t)result);
      continue;
    case CLOSED: case PAUSE: case DONE: return;
    }
    int error = SSL_get_error(c->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    unsigned long reason = ERR_peek_error();
    // Reasons from 1000 on are alerts of the peer's (SSL_AD_REASON_OFFSET).
    if (kind == REFUSED && error == SSL_ERROR_SSL && ERR_GET_REASON(reason) > SSL_AD_REASON_OFFSET) {
      complete(c);
      continue;
    }
    fail("the connection ended (error %d) after %lld operations", error, done);
  }
}

// Waits for sockets, and lets those go on whose pause is over.
static void turn(void) {
  struct epoll_event ready[256];
  int number = epoll_wait(poller, ready, 256, kind == MIXED ? 1 : 1000);
  if (number < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
  for (int index = 0; index < number; index++) step(ready[index].data.ptr);
  if (kind != MIXED) return;
  uint64_t now = now_ns();
  for (int index = 0; index < connections; index++) {
    struct connection *c = &all[index];
    if (c->state != PAUSE || c->resumes_ns > now) continue;
    if (is_over()) {
      c->state = DONE;
    } else {
      begin(c);
      step(c);
    }
  }
}

static bool is_waiting(void) {
  for (int index = 0; index < connections; index++)
    if (all[index].state != DONE) return true;
  return false;
}

static int by_value(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return left < right ? -1 : left > right;
}

static double quantile_us(double part) {
  if (!done) return 0;
  long long index = (long long)(part * (double)done);
  return latencies_ns[index < done ? index : done - 1] / 1000.0;
}

static void print(long long operations) {
  double taken = (double)(now_ns() - first_ns) / 1e9;
  if (latencies_ns) qsort(latencies_ns, (size_t)done, sizeof *latencies_ns, by_value);
  printf("{\"operations\":%lld,\"bytes\":%lld,\"seconds\":%.6f,\"resumed\":%lld,\"latency_us\":{\"p50\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f}}\n",
         operations, bytes, taken, resumed, quantile_us(0.5), quantile_us(0.99), quantile_us(0.999));
  fflush(stdout);
}

static void read_arguments(int argument_count, char **arguments) {
  for (kind = 0; argument_count > 1 && kind < sizeof kinds / sizeof *kinds && strcmp(arguments[1], kinds[kind]); kind++) continue;
  if (argument_count < 2 || kind == sizeof kinds / sizeof *kinds) fail("%s", usage);
  for (int index = 2; index + 1 < argument_count; index += 2) {
    const char *name = arguments[index], *value = arguments[index + 1];
    if (!strcmp(name, "-address")) address = value;
    else if (!strcmp(name, "-certificate")) certificate = value;
    else if (!strcmp(name, "-key")) key = value;
    else if (!strcmp(name, "-authority")) authority = value;
    else if (!strcmp(name, "-group")) group = value;
    else if (!strcmp(name, "-path")) path = value;
    else if (!strcmp(name, "-connections")) connections = atoi(value);
    else if (!strcmp(name, "-seconds")) seconds = atof(value);
    else if (!strcmp(name, "-count")) count = atoi(value);
    else if (!strcmp(name, "-events")) events = atoi(value);
    else fail("unknown option %s\n%s", name, usage);
  }
  if (!address || !certificate || !key || !authority || connections < 1 || events < 1) fail("%s", usage);
}

static void prepare(void) {
  char host[64];
  const char *colon = strrchr(address, ':');
  if (!colon || (size_t)(colon - address) >= sizeof host) fail("-address %s: give an IPv4 address and a port", address);
  snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
  if (inet_pton(AF_INET, host, &server.sin_addr) != 1) fail("-address %s: give an IPv4 address and a port", address);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  signal(SIGPIPE, SIG_IGN);

  context = SSL_CTX_new(TLS_client_method());
  if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) || !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") ||
      !SSL_CTX_set1_groups_list(context, group))
    fail("OpenSSL does not offer TLS_AES_256_GCM_SHA384 with %s", group);
  if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 || SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_load_verify_locations(context, authority, NULL) != 1)
    fail("the client's certificate, key or authority cannot be read");
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (kind == RESUMED) SSL_CTX_sess_set_new_cb(context, keep_session);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

  static const char form[] = "GET %s HTTP/1.1\r\nHost: bench\r\nAccept: %s\r\n\r\n";
  static const char burst[] = "{\"on\":true}";
  snprintf(request, sizeof request, form, path, "application/json");
  snprintf(stream_request, sizeof stream_request, form, "/v1/readings", "text/event-stream");
  snprintf(burst_request, sizeof burst_request,
           "PUT /v1/actuators/burst HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(burst), burst);
  poller = epoll_create1(EPOLL_CLOEXEC);
  // One more: who asks for the burst.
  all = calloc((size_t)connections + 1, sizeof *all);
  if (poller < 0 || !all) fail("no memory");
  for (int index = 0; index <= connections; index++) {
    all[index].is_kept = kind == REQUESTS || kind == IDLE || kind == STREAMS || (kind == MIXED && index % 2 == 0);
    all[index].is_control = index == connections;
    all[index].request = kind != STREAMS ? request : all[index].is_control ? burst_request : stream_request;
    all[index].request_length = strlen(all[index].request);
  }
}

static void start(struct connection *c) {
  begin(c);
  step(c);
}

// Connections one after the other: an idle server is what is measured, not a crowd at its door.
static void stand_idle(void) {
  for (int index = 0; index < connections; index++) {
    start(&all[index]);
    while (all[index].state != DONE) turn();
  }
  print(done);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}

static void follow_streams(void) {
  for (int index = 0; index < connections; index++) {
    start(&all[index]);
    while (subscribed <= index) turn();
  }
  first_ns = now_ns();
  start(&all[connections]);
  while (finished < connections || all[connections].state != DONE) turn();
  print((long long)events * connections);
}

int main(int argument_count, char **arguments) {
  read_arguments(argument_count, arguments);
  prepare();
  first_ns = now_ns();
  last_ns = first_ns + (uint64_t)(seconds * 1e9);
  if (kind == IDLE) {
    stand_idle();
    return 0;
  }
  if (kind == STREAMS) {
    follow_streams();
    return 0;
  }
  if (kind == RESUMED || kind == REQUESTS) {
    // Tickets, and connections, are there before the time begins.
    int wanted = count;
    count = connections;
    // Sixteen at a time: what waits long in a crowd at the door is closed by a server's own deadline.
    for (int index = 0; index < connections; index++) {
      start(&all[index]);
      while (done < started - 15) turn();
    }
    while (is_waiting()) turn();
    if (kind == RESUMED)
      for (int index = 0; index < connections; index++)
        if (!all[index].session) fail("the server gave no ticket");
    count = wanted;
    started = done = bytes = resumed = 0;
    first_ns = now_ns();
    last_ns = first_ns + (uint64_t)(seconds * 1e9);
  }
  for (int index = 0; index < connections && !(count > 0 && started >= count); index++) start(&all[index]);
  if (count > 0 && count < connections) fail("-count is less than -connections");
  while (is_waiting()) turn();
  if (kind == RESUMED && resumed < done) fail("only %lld of %lld handshakes were resumed", resumed, done);
  print(done);
  return 0;
}
