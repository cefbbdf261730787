// Package lmdb is the driver of LMDB, by a C shim of its own over liblmdb. It is built with the tag
// lmdb and needs Debian's liblmdb-dev (see ../../setup); without the tag it is empty.
package lmdb
