// Package backends is where an engine keeps its files: the Backend interface, and the backends
// that come with the engine.
//
// It is not a file system. There is one flat directory, names are ASCII, files are read and
// written at positions, and nothing is renamed: an engine publishes a state by syncing a new
// file, never by moving one into place. It caches nothing and it knows nothing of what is in a
// file.
//
//   - Backend, File: what an engine needs of a medium, and what it may assume of it.
//   - Memory: files in memory, for caches that need no disk and for tests.
//   - Local: a directory of the operating system's file system.
//   - Limited: any other backend, with a cap on the bytes that it may take up.
//
// Package backends/conformance is a suite of checks that the author of another Backend can run.
//
// # What is assumed of storage
//
// A write damages no byte outside its range. What a successful sync acknowledged stays, unless
// the medium fails. Creating and removing files is durable once the directory is synced. These
// hold for Local as far as the file system and the device under it are honest: nothing above
// them can make up for a drive that answers a cache flush without doing it, but the checksums of
// the engine will find that out.
//
// # Invariants
//
//  1. A WriteAt that returns nil has written each byte of its argument, once, at its position:
//     short writes and EINTR are continued where they stopped.
//  2. A sync that failed, for any reason and be it EINTR, is reported and never tried again by a
//     backend. The operating system may have dropped the very pages that could not be written,
//     so that a second attempt succeeds without them.
//  3. Errors of the medium keep their cause: errors.Is finds both ErrNoSpace and syscall.ENOSPC.
//  4. io.EOF is only ever the end of a file.
package backends
