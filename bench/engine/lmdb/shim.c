//go:build lmdb

#include "shim.h"

#include <errno.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// The pool stays below the size of LMDB's own table, so that this never runs full.
enum { READERS = 1000, READER_TABLE = 1024 };

struct lm_reader {
	_Alignas(64) atomic_int busy; // a line of its own: threads look for free readers all the time
	lm *env;
	MDB_txn *txn;    // null until the first use, then reset between uses
	MDB_cursor *cur; // null until the first scan
	int renewed;     // cur belongs to the transaction as it is
};

struct lm {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *write;
	lm_reader *readers;
};

static atomic_uint threads;
static __thread unsigned home; // where this thread looks first, plus one

static MDB_val val(const char *p, size_t n) {
	MDB_val v = {n, (void *)p};
	return v;
}

lm_opened lm_open(const char *dir, uint64_t map_size, unsigned flags) {
	lm_opened out = {0};
	lm *l = calloc(1, sizeof *l);
	if (l) l->readers = aligned_alloc(64, READERS * sizeof(lm_reader));
	if (!l || !l->readers) {
		free(l);
		out.rc = ENOMEM;
		return out;
	}
	memset(l->readers, 0, READERS * sizeof(lm_reader));
	MDB_txn *txn;
	int dead;
	if ((out.rc = mdb_env_create(&l->env))) goto fail;
	if ((out.rc = mdb_env_set_maxreaders(l->env, READER_TABLE))) goto fail;
	if ((out.rc = mdb_env_set_mapsize(l->env, map_size))) goto fail;
	if ((out.rc = mdb_env_open(l->env, dir, flags, 0644))) goto fail;
	// Readers of a process that was killed would keep old pages from being used again.
	if ((out.rc = mdb_reader_check(l->env, &dead))) goto fail;
	if ((out.rc = mdb_txn_begin(l->env, NULL, 0, &txn))) goto fail;
	if ((out.rc = mdb_dbi_open(txn, NULL, 0, &l->dbi))) {
		mdb_txn_abort(txn);
		goto fail;
	}
	if ((out.rc = mdb_txn_commit(txn))) goto fail;
	out.env = l;
	return out;
fail:
	if (l->env) mdb_env_close(l->env);
	free(l->readers);
	free(l);
	return out;
}

void lm_close(lm *l) {
	for (int i = 0; i < READERS; i++) {
		if (l->readers[i].cur) mdb_cursor_close(l->readers[i].cur);
		if (l->readers[i].txn) mdb_txn_abort(l->readers[i].txn);
	}
	mdb_env_close(l->env);
	free(l->readers);
	free(l);
}

int lm_sync(lm *l) { return mdb_env_sync(l->env, 1); }

const char *lm_error(int rc) { return mdb_strerror(rc); }

// take finds a reader and begins its snapshot. A renewed transaction keeps its place in LMDB's
// table, where a new one would have to look for one under a lock.
static int take(lm *l, lm_reader **out) {
	if (!home) home = 1 + atomic_fetch_add(&threads, 1) % READERS;
	unsigned at = home - 1;
	for (int tries = 0;; tries++) {
		lm_reader *r = &l->readers[at];
		if (!atomic_load_explicit(&r->busy, memory_order_relaxed) && !atomic_exchange_explicit(&r->busy, 1, memory_order_acquire)) {
			*out = r;
			break;
		}
		if (tries == READERS) return MDB_READERS_FULL;
		at = (at + 1) % READERS;
	}
	lm_reader *r = *out;
	r->env = l;
	r->renewed = 0;
	int rc = r->txn ? mdb_txn_renew(r->txn) : mdb_txn_begin(l->env, NULL, MDB_RDONLY, &r->txn);
	if (rc) atomic_store_explicit(&r->busy, 0, memory_order_release);
	return rc;
}

static void give(lm_reader *r) {
	mdb_txn_reset(r->txn);
	atomic_store_explicit(&r->busy, 0, memory_order_release);
}

static lm_result get(MDB_txn *txn, MDB_dbi dbi, const char *key, size_t key_len, char *buf, size_t cap) {
	MDB_val k = val(key, key_len), v;
	lm_result out = {0};
	out.rc = mdb_get(txn, dbi, &k, &v);
	if (out.rc) return out;
	out.n = v.mv_size;
	if (v.mv_size && v.mv_size <= cap) memcpy(buf, v.mv_data, v.mv_size);
	return out;
}

lm_result lm_get(lm *l, const char *key, size_t key_len, char *buf, size_t cap) {
	lm_reader *r;
	lm_result out = {0};
	out.rc = take(l, &r);
	if (out.rc) return out;
	out = get(r->txn, l->dbi, key, key_len, buf, cap);
	give(r);
	return out;
}

lm_begun lm_read_begin(lm *l) {
	lm_begun out = {0};
	out.rc = take(l, &out.reader);
	return out;
}

void lm_read_end(lm_reader *r) { give(r); }

lm_result lm_read_get(lm_reader *r, const char *key, size_t key_len, char *buf, size_t cap) {
	return get(r->txn, r->env->dbi, key, key_len, buf, cap);
}

lm_result lm_scan(lm_reader *r, const char *from, size_t from_len, int more, char *entries, size_t max) {
	lm_result out = {0};
	lm_entry *e = (lm_entry *)entries;
	if (!r->renewed) {
		out.rc = r->cur ? mdb_cursor_renew(r->txn, r->cur) : mdb_cursor_open(r->txn, r->env->dbi, &r->cur);
		if (out.rc) return out;
		r->renewed = 1;
	}
	MDB_val k = val(from, from_len), v;
	MDB_cursor_op op = more ? MDB_NEXT : from_len ? MDB_SET_RANGE : MDB_FIRST;
	for (; (size_t)out.n < max; op = MDB_NEXT) {
		out.rc = mdb_cursor_get(r->cur, &k, &v, op);
		if (out.rc == MDB_NOTFOUND) out.rc = 0;
		else if (!out.rc) {
			e[out.n++] = (lm_entry){k.mv_data, v.mv_data, k.mv_size, v.mv_size};
			continue;
		}
		break;
	}
	return out;
}

static int begin(lm *l) { return l->write ? 0 : mdb_txn_begin(l->env, NULL, 0, &l->write); }

lm_result lm_tx_get(lm *l, const char *key, size_t key_len, char *buf, size_t cap) {
	lm_result out = {0};
	if ((out.rc = begin(l))) return out;
	return get(l->write, l->dbi, key, key_len, buf, cap);
}

static int put(lm *l, const char *key, size_t key_len, const char *value, size_t value_len) {
	MDB_val k = val(key, key_len), v = val(value, value_len);
	return mdb_put(l->write, l->dbi, &k, &v, 0);
}

int lm_tx_apply(lm *l, const char *p, size_t len) {
	int rc = begin(l);
	for (const char *end = p + len; !rc && p < end;) {
		uint32_t n[2];
		memcpy(n, p, sizeof n);
		p += sizeof n;
		rc = put(l, p, n[0], p + n[0], n[1]);
		p += (size_t)n[0] + n[1];
	}
	if (rc) lm_tx_abort(l);
	return rc;
}

int lm_tx_commit(lm *l, const char *records, size_t len) {
	int rc = lm_tx_apply(l, records, len);
	if (rc) return rc;
	MDB_txn *txn = l->write;
	l->write = NULL;
	return mdb_txn_commit(txn);
}

int lm_put(lm *l, const char *key, size_t key_len, const char *value, size_t value_len) {
	int rc = begin(l);
	if (rc) return rc;
	if ((rc = put(l, key, key_len, value, value_len))) lm_tx_abort(l);
	return rc ? rc : lm_tx_commit(l, NULL, 0);
}

void lm_tx_abort(lm *l) {
	if (l->write) mdb_txn_abort(l->write);
	l->write = NULL;
}
