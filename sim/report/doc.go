// Package report writes what a person reads of a failing run of the simulator: a trace in words
// (Text, FullText), one self-contained page with a timeline (HTML), and a Go test that replays
// the run (RegressionTest).
//
// It knows nothing of the scheduler or the engine: it gets a Run, which is a token and a list of
// trace events, and tells them as a story. What it reads out of an event's text is little:
//
//   - An IO event's text begins with the call: read, write, sync, truncate, create, remove, open,
//     close, size, list, syncdir, lock. A colon or the word "failed" after it says that the call
//     failed. A truncate's new size is Off+Len.
//   - An Op event's text begins with "begin" or "end", and names the operation. Other texts are
//     shown, but make no bar.
//   - A Crash event's text begins with how the life ended. After "kill" or "close" the operating
//     system's cache lives on, and with it what was not synced.
//   - A file that an IO, Fault or Crash event names has a lane of its own, or one with others.
//
// What became of unsynced bytes at a crash comes from Run.Losses. Without that the report says
// that they were in doubt.
//
// The functions keep no state and may be used by many goroutines at once; they do not change the
// Run.
package report
