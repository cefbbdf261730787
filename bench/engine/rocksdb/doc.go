// Package rocksdb is the driver of RocksDB, by a C++ shim of its own over librocksdb. It is built
// with the tag rocksdb and needs Debian's librocksdb-dev (see ../../setup); without the tag it is
// empty.
package rocksdb
