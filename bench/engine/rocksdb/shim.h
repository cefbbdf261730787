// The part of the driver that runs in C++. Each function is one crossing from Go and does as much
// as can be done in one: a whole commit, a whole one-shot get, a block of entries.
#ifndef RK_SHIM_H
#define RK_SHIM_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rk rk;           // an open database
typedef struct rk_view rk_view; // a snapshot and its iterator
typedef struct rk_tx rk_tx;     // a transaction, used again and again

enum { RK_OK, RK_NOT_FOUND, RK_CONFLICT, RK_ERROR };

// n is the length of a value. error is set with RK_ERROR and is
// the caller's to free.
typedef struct { int64_t n; char *error; int code; } rk_result;
typedef struct { rk *db; char *error; } rk_opened;

const char *rk_version(void);

rk_opened rk_open(const char *dir, size_t dir_len, int64_t cache_bytes, int durable, int compressed, int memory);
rk_result rk_close(rk *);
rk_result rk_sync(rk *);
int rk_working(rk *); // whether flushes or compactions run or are due

rk_result rk_put(rk *, const char *key, size_t key_len, const char *value, size_t value_len);
// rk_write commits a write batch in RocksDB's own encoding.
rk_result rk_write(rk *, const char *batch, size_t len);
// rk_get copies nothing if n exceeds cap.
rk_result rk_get(rk *, const char *key, size_t key_len, char *buf, size_t cap);

rk_view *rk_view_begin(rk *);
void rk_view_end(rk_view *);
rk_result rk_view_get(rk_view *, const char *key, size_t key_len, char *buf, size_t cap);
// rk_scan fills buf with up to max entries from the first key >= from on, or, if more is set, from
// where the last call ended. An entry is key length, value length (4 bytes each, in the machine's
// order), key, value. used is the bytes filled. need is the size of the entry that did not fit any
// more; 0 says that the scan has ended, by max or by the last key.
typedef struct { size_t used, need; char *error; } rk_block;
rk_block rk_scan(rk_view *, const char *from, size_t from_len, int more, char *buf, size_t cap, size_t max);

rk_tx *rk_tx_new(rk *);
void rk_tx_free(rk_tx *);
// A transaction begins with its first operation and ends with rk_tx_commit or rk_tx_abort.
rk_result rk_tx_get(rk_tx *, const char *key, size_t key_len, char *buf, size_t cap);
rk_result rk_tx_put(rk_tx *, const char *key, size_t key_len, const char *value, size_t value_len);
rk_result rk_tx_commit(rk_tx *);
void rk_tx_abort(rk_tx *);

#ifdef __cplusplus
}
#endif
#endif
