// The part of the driver that runs in C. Each function is one crossing from Go and does as much as
// can be done in one: a whole transaction, a whole one-shot get, a block of entries.
#ifndef LM_SHIM_H
#define LM_SHIM_H
#include <stddef.h>
#include <stdint.h>

typedef struct lm lm;             // an open environment
typedef struct lm_reader lm_reader; // a pooled read transaction and its cursor

// rc is 0 or an error of LMDB. n is the length of a value or the number of entries.
typedef struct { int64_t n; int rc; } lm_result;
typedef struct { lm *env; int rc; } lm_opened;
typedef struct { lm_reader *reader; int rc; } lm_begun;

// An entry of a scan: where key and value are in the map. They stay there until lm_read_end.
typedef struct { const char *key, *value; uint32_t key_len, value_len; } lm_entry;

lm_opened lm_open(const char *dir, uint64_t map_size, unsigned flags);
void lm_close(lm *);
int lm_sync(lm *);
const char *lm_error(int rc);

// lm_get reads in a transaction of its own. If n exceeds cap, nothing is copied.
lm_result lm_get(lm *, const char *key, size_t key_len, char *buf, size_t cap);

// A snapshot. It may be used from any thread, by one at a time.
lm_begun lm_read_begin(lm *);
void lm_read_end(lm_reader *);
lm_result lm_read_get(lm_reader *, const char *key, size_t key_len, char *buf, size_t cap);
// lm_scan fills entries with up to max entries from the first key >= from on, or, if more is set,
// from where the last call ended. entries are lm_entry: as a char * it is not searched for Go
// pointers at each call.
lm_result lm_scan(lm_reader *, const char *from, size_t from_len, int more, char *entries, size_t max);

// The one write transaction, which begins by itself. records are key length, value length (4 bytes
// each, in the machine's order), key, value. After an error there is no transaction.
lm_result lm_tx_get(lm *, const char *key, size_t key_len, char *buf, size_t cap);
int lm_tx_apply(lm *, const char *records, size_t len);
int lm_tx_commit(lm *, const char *records, size_t len);
int lm_put(lm *, const char *key, size_t key_len, const char *value, size_t value_len);
void lm_tx_abort(lm *);
#endif
