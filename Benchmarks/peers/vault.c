// What stands beside the vault: a database of SQLCipher's, and the cipher alone. Prints a line for each kind of work, as `haechi-bench vault` does:
// name, operations, nanoseconds, nanoseconds on a processor, with tabs between them.
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sqlcipher/sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: vault sqlcipher|cipher FOLDER COUNT\n"
    "  sqlcipher  a table of records and one of a log, write-ahead log, synchronous=FULL, the key given as it is (no passphrase)\n"
    "  cipher     AES-256-GCM of each value with one context, values one after another in a file, fdatasync after each transaction\n";

static int count;

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int64_t began_ns, began_cpu_ns;

static void begin(void) {
  began_ns = clock_ns(CLOCK_MONOTONIC);
  began_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void end(const char *name, int operations) {
  int64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_cpu_ns;
  printf("%s\t%d\t%lld\t%lld\n", name, operations, (long long)(clock_ns(CLOCK_MONOTONIC) - began_ns), (long long)cpu_ns);
}

// SQLCipher

static sqlite3 *database;

static void run(const char *text) {
  char *error = NULL;
  if (sqlite3_exec(database, text, NULL, NULL, &error) != SQLITE_OK) fail("%.40s: %s", text, error);
}

static sqlite3_stmt *prepare(const char *text) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2(database, text, -1, &statement, NULL) != SQLITE_OK) fail("%.40s: %s", text, sqlite3_errmsg(database));
  return statement;
}

static void finish(sqlite3_stmt *statement) {
  if (sqlite3_step(statement) != SQLITE_DONE) fail("%s", sqlite3_errmsg(database));
  sqlite3_reset(statement);
}

static const char *record_name(int number) {
  static char name[32];
  snprintf(name, sizeof name, "reading-%d", number);
  return name;
}

static void bind_reading(sqlite3_stmt *statement, int place, double value) {
  sqlite3_bind_text(statement, place, "temperature", -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, place + 1, "Cel", -1, SQLITE_STATIC);
  sqlite3_bind_double(statement, place + 2, value);
}

static void put(sqlite3_stmt *statement, int number, double value) {
  sqlite3_bind_text(statement, 1, record_name(number), -1, SQLITE_TRANSIENT);
  bind_reading(statement, 2, value);
  finish(statement);
}

// A value is taken out of its row, as a program that needs it does.
static double reading(sqlite3_stmt *statement, int place) {
  char *name = strdup((const char *)sqlite3_column_text(statement, place));
  char *unit = strdup((const char *)sqlite3_column_text(statement, place + 1));
  if (strcmp(name, "temperature") != 0 || strcmp(unit, "Cel") != 0) fail("a reading is not what was stored");
  free(name);
  free(unit);
  return sqlite3_column_double(statement, place + 2);
}

static void open_database(const char *folder, const char *key) {
  char text[512];
  snprintf(text, sizeof text, "%s/bench.db", folder);
  if (sqlite3_open(text, &database) != SQLITE_OK) fail("%s: %s", text, sqlite3_errmsg(database));
  snprintf(text, sizeof text, "PRAGMA key = \"x'%s'\"", key);
  run(text);
  run("PRAGMA journal_mode = WAL");
  run("PRAGMA synchronous = FULL");
}

static void get(int number, sqlite3_stmt *statement) {
  sqlite3_bind_text(statement, 1, record_name(number), -1, SQLITE_TRANSIENT);
  if (sqlite3_step(statement) != SQLITE_ROW || reading(statement, 0) != 21.5) fail("a record is not what was put");
  sqlite3_reset(statement);
}

static void measure_sqlcipher(const char *folder) {
  unsigned char bytes[32];
  char key[65];
  if (RAND_bytes(bytes, sizeof bytes) != 1) fail("no random bytes");
  for (size_t i = 0; i < sizeof bytes; i++) snprintf(key + 2 * i, 3, "%02x", bytes[i]);
  open_database(folder, key);
  run("CREATE TABLE record (key TEXT PRIMARY KEY, name TEXT, unit TEXT, value REAL) WITHOUT ROWID");
  run("CREATE TABLE history (number INTEGER PRIMARY KEY AUTOINCREMENT, written INTEGER, name TEXT, unit TEXT, value REAL)");

  sqlite3_stmt *replace = prepare("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)");
  begin();
  for (int i = 0; i < count; i++) put(replace, i, i);
  end("put", count);

  sqlite3_stmt *append = prepare("INSERT INTO history (written, name, unit, value) VALUES (1700000000, ?, ?, ?)");
  begin();
  for (int i = 0; i < count; i++) {
    bind_reading(append, 1, i);
    finish(append);
  }
  end("append", count);

  begin();
  for (int first = 0; first < count; first += 100) {
    run("BEGIN");
    for (int i = first; i < first + 100 && i < count; i++) put(replace, i, 21.5);
    run("COMMIT");
  }
  end("put, 100 in a transaction", count);

  sqlite3_stmt *select = prepare("SELECT name, unit, value FROM record WHERE key = ?");
  begin();
  for (int round = 0; round < 10; round++)
    for (int i = 0; i < count; i++) get(i, select);
  end("get", 10 * count);

  sqlite3_stmt *scan = prepare("SELECT number, written, name, unit, value FROM history WHERE number > 0 ORDER BY number");
  begin();
  for (int round = 0; round < 10; round++) {
    int seen = 0;
    while (sqlite3_step(scan) == SQLITE_ROW) {
      if (sqlite3_column_int64(scan, 0) != seen + 1 || reading(scan, 2) != seen) fail("the log is not what was appended");
      seen++;
    }
    if (seen != count) fail("the log has %d entries of %d", seen, count);
    sqlite3_reset(scan);
  }
  end("scan", 10 * count);

  sqlite3_finalize(replace);
  sqlite3_finalize(append);
  sqlite3_finalize(select);
  sqlite3_finalize(scan);
  begin();
  run("VACUUM");
  run("PRAGMA wal_checkpoint(TRUNCATE)");
  end("rewrite", 2 * count);
  if (sqlite3_close(database) != SQLITE_OK) fail("%s", sqlite3_errmsg(database));
  begin();
  open_database(folder, key);
  get(0, prepare("SELECT name, unit, value FROM record WHERE key = ?"));
  end("open", 1);
}

// The cipher alone

enum { VALUE = 64, TAG = 16, SEALED = VALUE + TAG };

static EVP_CIPHER_CTX *sealing, *opening;
static uint64_t last_nonce;

static void seal(const unsigned char *value, unsigned char *sealed) {
  unsigned char nonce[12] = {0};
  int length;
  last_nonce++;
  memcpy(nonce, &last_nonce, sizeof last_nonce);
  if (EVP_EncryptInit_ex(sealing, NULL, NULL, NULL, nonce) != 1 || EVP_EncryptUpdate(sealing, sealed, &length, value, VALUE) != 1 ||
      EVP_EncryptFinal_ex(sealing, sealed + VALUE, &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(sealing, EVP_CTRL_AEAD_GET_TAG, TAG, sealed + VALUE) != 1)
    fail("a value could not be encrypted");
}

static void unseal(int file, off_t place) {
  unsigned char sealed[SEALED], value[VALUE], nonce[12] = {0};
  uint64_t number = place / SEALED + 1;
  int length;
  if (pread(file, sealed, SEALED, place) != SEALED) fail("a value could not be read");
  memcpy(nonce, &number, sizeof number);
  if (EVP_DecryptInit_ex(opening, NULL, NULL, NULL, nonce) != 1 || EVP_DecryptUpdate(opening, value, &length, sealed, VALUE) != 1 ||
      EVP_CIPHER_CTX_ctrl(opening, EVP_CTRL_AEAD_SET_TAG, TAG, sealed + VALUE) != 1 ||
      EVP_DecryptFinal_ex(opening, value + VALUE, &length) != 1)
    fail("a value is not authentic");
}

static void measure_writing(const char *name, int file, int each) {
  unsigned char value[VALUE] = {0}, sealed[100 * SEALED];
  static off_t place;
  begin();
  for (int done = 0; done < count; done += each) {
    int number = each < count - done ? each : count - done;
    for (int i = 0; i < number; i++) seal(value, sealed + i * SEALED);
    if (pwrite(file, sealed, number * SEALED, place) != number * SEALED || fdatasync(file) != 0) fail("the file could not be written");
    place += number * SEALED;
  }
  end(name, count);
}

static void measure_cipher(const char *folder) {
  char path[512];
  unsigned char key[32];
  snprintf(path, sizeof path, "%s/bench.cipher", folder);
  int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) fail("%s cannot be made", path);
  sealing = EVP_CIPHER_CTX_new();
  opening = EVP_CIPHER_CTX_new();
  if (RAND_bytes(key, sizeof key) != 1 || EVP_EncryptInit_ex(sealing, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
      EVP_DecryptInit_ex(opening, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
    fail("no cipher");
  measure_writing("put", file, 1);
  measure_writing("append", file, 1);
  measure_writing("put, 100 in a transaction", file, 100);
  for (int kind = 0; kind < 2; kind++) {
    begin();
    for (int round = 0; round < 10; round++)
      for (int i = 0; i < count; i++) unseal(file, (off_t)i * SEALED);
    end(kind == 0 ? "get" : "scan", 10 * count);
  }
}

int main(int argc, char **argv) {
  if (argc != 4 || (count = atoi(argv[3])) < 100) {
    fputs(usage, stderr);
    return 2;
  }
  if (strcmp(argv[1], "sqlcipher") == 0)
    measure_sqlcipher(argv[2]);
  else if (strcmp(argv[1], "cipher") == 0)
    measure_cipher(argv[2]);
  else {
    fputs(usage, stderr);
    return 2;
  }
  return 0;
}
