// Package storecmd has the commands of aegis that work on the directory of a store.
//
// Those that only read open it read-only, and make no file. Those that write make a new store only
// where --create says so, so that a mistyped directory stays one.
package storecmd
