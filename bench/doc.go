// Command bench compares aegis with other embedded stores: the same work, on the same machine, in
// one run, with the same durability.
//
//	go run . -quick                                        core workloads, within five minutes
//	go run -tags rocksdb,lmdb .                            everything, within forty minutes
//	go run . -engines aegis,pebble -workloads ^put-        two engines, some workloads
//	go run . -report results.jsonl -charts charts          tables and charts of an earlier run
//	go run . -h                                            all flags
//
// Each measurement is a process of its own, and engines take turns; see package run for how it is
// done, package workload for what is done, package report for what comes of it, and the packages
// below engine for the settings of each engine.
package main
