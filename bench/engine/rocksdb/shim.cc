//go:build rocksdb

#include "shim.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/optimistic_transaction_db.h>
#include <rocksdb/utilities/transaction.h>
#include <rocksdb/version.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace rocksdb;

struct rk {
	std::unique_ptr<OptimisticTransactionDB> transactions;
	DB *db; // below the transactions: nothing of theirs is in the way
	WriteOptions write;
	ReadOptions read;
	bool memory;
};

struct rk_view {
	rk *owner;
	ReadOptions read;
	std::unique_ptr<Iterator> iterator;
};

struct rk_tx {
	rk *owner;
	std::unique_ptr<Transaction> transaction;
	bool live;
};

namespace {

rk_result result(const Status &s) {
	rk_result out = {0, nullptr, RK_OK};
	if (s.ok()) return out;
	if (s.IsNotFound()) {
		out.code = RK_NOT_FOUND;
	} else if (s.IsBusy() || s.IsTryAgain() || s.IsTimedOut()) {
		out.code = RK_CONFLICT;
	} else {
		out.code = RK_ERROR;
		out.error = strdup(s.ToString().c_str());
	}
	return out;
}

rk_result copied(const Status &s, const PinnableSlice &value, char *buf, size_t cap) {
	rk_result out = result(s);
	if (out.code != RK_OK) return out;
	out.n = static_cast<int64_t>(value.size());
	if (value.size() <= cap && value.size() > 0) memcpy(buf, value.data(), value.size());
	return out;
}

BlockBasedTableOptions table(const std::shared_ptr<Cache> &cache) {
	BlockBasedTableOptions t;
	t.block_cache = cache;
	// RocksDB's default size. Larger blocks compress better, but a get that misses the cache has to
	// decompress them.
	t.block_size = 4 << 10;
	t.format_version = 5;
	// Whole keys; ten bits are one false positive in a hundred. Nearly every get then looks into
	// one table only.
	t.filter_policy.reset(NewBloomFilterPolicy(10));
	t.whole_key_filtering = true;
	// A get finds its key's restart point in a block by hash, not by binary search.
	t.data_block_index_type = BlockBasedTableOptions::kDataBlockBinaryAndHash;
	// Indexes and filters stay with the open table: no look-up in the cache for them in each get.
	// What they take is taken from the cache's capacity, so that the budget is for all.
	t.cache_index_and_filter_blocks = false;
	t.cache_usage_options.options_overrides[CacheEntryRole::kBlockBasedTableReader].charged = CacheEntryRoleOptions::Decision::kEnabled;
	return t;
}

Options options(int64_t cache_bytes, bool durable, bool compressed, bool memory) {
	Options o;
	o.create_if_missing = true;
	size_t budget = static_cast<size_t>(std::max<int64_t>(cache_bytes, 8 << 20));
	// One budget: blocks, memtables and table readers are all counted in the cache. Memtables that
	// are not filled leave their part to blocks. 16 shards are plenty for two cores.
	// (HyperClockCache is experimental in this version.)
	auto cache = NewLRUCache(budget, 4);
	// A quarter of the budget, up to the usual 64 MiB: one is filled, one is flushed, and half of
	// the budget at least is for blocks.
	o.write_buffer_size = std::min<size_t>(budget / 4, 64 << 20);
	o.max_write_buffer_number = 3;
	o.write_buffer_manager = std::make_shared<WriteBufferManager>(budget / 2, cache);
	// A get that the memtable does not have skips its list, which is many cache misses long. A
	// fiftieth of the memtable is twenty bits per key.
	o.memtable_whole_key_filtering = true;
	o.memtable_prefix_bloom_size_ratio = 0.02;
	// Transactions find conflicts in the memtables. One of them is kept for that after its flush if
	// no other is there; the default is three.
	o.max_write_buffer_size_to_maintain = static_cast<int64_t>(o.write_buffer_size);
	o.table_factory.reset(NewBlockBasedTableFactory(table(cache)));
	o.compression = compressed ? kLZ4Compression : kNoCompression;
	// Levels sized from the last one up: little space is taken by what has been overwritten.
	o.level_compaction_dynamic_level_bytes = true;
	o.max_bytes_for_level_base = 4 * o.write_buffer_size; // as large as L0 when it is compacted
	// One flush and two compactions at a time, which is what two cores can do beside the clients.
	o.max_background_jobs = 3;
	o.max_open_files = -1; // never look up a table in a cache of tables
	// Tables are written back as they are made, not all at the end, where it would hold up the log's
	// sync.
	o.bytes_per_sync = 1 << 20;
	// The log of a group is written while the group before it goes into the memtable.
	o.enable_pipelined_write = true;
	// Without sync, records are gathered in the log's buffer (1 MiB) and written by full buffers or
	// by Sync, as other engines do it that promise nothing before a sync.
	o.manual_wal_flush = !durable;
	// With sync, old logs are overwritten: fdatasync then has no size to journal.
	o.recycle_log_file_num = durable ? 2 : 0;
	// What needs not outlive the process needs no flush at its end.
	o.avoid_flush_during_shutdown = memory;
	o.stats_dump_period_sec = 0;
	o.stats_persist_period_sec = 0;
	o.info_log_level = ERROR_LEVEL;
	return o;
}

} // namespace

#define RK_TEXT(x) #x
#define RK_DOTTED(a, b, c) RK_TEXT(a) "." RK_TEXT(b) "." RK_TEXT(c)

const char *rk_version() { return RK_DOTTED(ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH); }

rk_opened rk_open(const char *dir, size_t dir_len, int64_t cache_bytes, int durable, int compressed, int memory) {
	rk_opened out = {nullptr, nullptr};
	bool sync = durable && !memory;
	auto r = std::make_unique<rk>();
	// Optimistic transactions cost nothing to those who write without one: no locks are taken, where a
	// TransactionDB locks the key of each plain put, or lets it pass by transactions unseen. In
	// transfers between accounts the two were as fast as each other, many accounts or few. They
	// validate under locks of their keys' buckets; a million buckets (the default) would be 40 MB.
	OptimisticTransactionDBOptions occ;
	occ.validate_policy = OccValidationPolicy::kValidateParallel;
	occ.occ_lock_buckets = 1 << 14;
	Options o = options(cache_bytes, sync, compressed, memory);
	std::vector<ColumnFamilyDescriptor> families = {{kDefaultColumnFamilyName, ColumnFamilyOptions(o)}};
	std::vector<ColumnFamilyHandle *> handles;
	OptimisticTransactionDB *db;
	Status s = OptimisticTransactionDB::Open(DBOptions(o), occ, std::string(dir, dir_len), families, &handles, &db);
	if (!s.ok()) {
		out.error = strdup(s.ToString().c_str());
		return out;
	}
	for (auto h : handles) db->DestroyColumnFamilyHandle(h); // the database has its own of the default one
	r->transactions.reset(db);
	r->db = db->GetBaseDB();
	r->memory = memory;
	r->write.sync = sync;
	r->write.disableWAL = memory; // nothing is to be recovered
	out.db = r.release();
	return out;
}

rk_result rk_close(rk *r) {
	// What is in memtables becomes tables, so that no log is left to replay or to take space.
	Status s = r->memory ? Status::OK() : r->db->Flush(FlushOptions());
	Status closed = r->transactions->Close();
	delete r;
	return result(s.ok() ? closed : s);
}

rk_result rk_sync(rk *r) {
	return result(r->memory ? Status::OK() : r->db->FlushWAL(true));
}

int rk_working(rk *r) {
	static const char *const names[] = {"rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes",
		"rocksdb.compaction-pending", "rocksdb.num-running-compactions"};
	for (auto name : names) {
		uint64_t v = 0;
		if (r->db->GetIntProperty(name, &v) && v > 0) return 1;
	}
	return 0;
}

rk_result rk_put(rk *r, const char *key, size_t key_len, const char *value, size_t value_len) {
	return result(r->db->Put(r->write, Slice(key, key_len), Slice(value, value_len)));
}

rk_result rk_write(rk *r, const char *batch, size_t len) {
	WriteBatch b(std::string(batch, len));
	return result(r->db->Write(r->write, &b));
}

rk_result rk_get(rk *r, const char *key, size_t key_len, char *buf, size_t cap) {
	PinnableSlice value;
	Status s = r->db->Get(r->read, r->db->DefaultColumnFamily(), Slice(key, key_len), &value);
	return copied(s, value, buf, cap);
}

rk_view *rk_view_begin(rk *r) {
	auto v = new rk_view{r, r->read, nullptr};
	v->read.snapshot = r->db->GetSnapshot();
	return v;
}

void rk_view_end(rk_view *v) {
	v->iterator.reset();
	v->owner->db->ReleaseSnapshot(v->read.snapshot);
	delete v;
}

rk_result rk_view_get(rk_view *v, const char *key, size_t key_len, char *buf, size_t cap) {
	PinnableSlice value;
	DB *db = v->owner->db;
	Status s = db->Get(v->read, db->DefaultColumnFamily(), Slice(key, key_len), &value);
	return copied(s, value, buf, cap);
}

rk_block rk_scan(rk_view *v, const char *from, size_t from_len, int more, char *buf, size_t cap, size_t max) {
	rk_block out = {0, 0, nullptr};
	// One iterator serves all scans of a view.
	if (!v->iterator) v->iterator.reset(v->owner->db->NewIterator(v->read));
	Iterator *it = v->iterator.get();
	if (!more) it->Seek(Slice(from, from_len));
	for (size_t entries = 0; it->Valid() && entries < max; it->Next(), entries++) {
		Slice key = it->key(), value = it->value();
		uint32_t n[2] = {static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
		size_t need = sizeof n + key.size() + value.size();
		if (need > cap - out.used) {
			out.need = need;
			break;
		}
		char *p = buf + out.used;
		memcpy(p, n, sizeof n);
		memcpy(p + sizeof n, key.data(), key.size());
		memcpy(p + sizeof n + key.size(), value.data(), value.size());
		out.used += need;
	}
	if (!it->status().ok()) out.error = strdup(it->status().ToString().c_str());
	return out;
}

rk_tx *rk_tx_new(rk *r) { return new rk_tx{r, nullptr, false}; }

void rk_tx_free(rk_tx *t) { delete t; }

static Transaction *begun(rk_tx *t) {
	if (!t->live) {
		t->transaction.reset(t->owner->transactions->BeginTransaction(t->owner->write, OptimisticTransactionOptions(), t->transaction.release()));
		t->live = true;
	}
	return t->transaction.get();
}

rk_result rk_tx_get(rk_tx *t, const char *key, size_t key_len, char *buf, size_t cap) {
	PinnableSlice value;
	rk *r = t->owner;
	Status s = begun(t)->GetForUpdate(r->read, r->db->DefaultColumnFamily(), Slice(key, key_len), &value);
	return copied(s, value, buf, cap);
}

rk_result rk_tx_put(rk_tx *t, const char *key, size_t key_len, const char *value, size_t value_len) {
	return result(begun(t)->Put(Slice(key, key_len), Slice(value, value_len)));
}

rk_result rk_tx_commit(rk_tx *t) {
	if (!t->live) return result(Status::OK());
	t->live = false;
	return result(t->transaction->Commit());
}

void rk_tx_abort(rk_tx *t) {
	if (t->live) t->transaction->Rollback();
	t->live = false;
}
