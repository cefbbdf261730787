// Package conformance checks that a backends.Backend keeps to its contract, in words that tell
// its author what to mend. With the testing package:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(t *testing.T) conformance.Subject {
//			return conformance.Subject{Backend: mybackend.New(t.TempDir())}
//		})
//	}
//
// It does not need the testing package: T has the few methods that it uses, so that a simulator
// can run Cases on its own disk, with its own clients for Subject.Parallel. It checks behaviour,
// not speed, and it injects no faults; what storage may do in a power cut is checked only for a
// Subject that can have one.
//
//   - Subject: the backend under test, with what its author can do to it.
//   - Case: one check with a name; it needs a new, empty Subject.
//   - Run: all of them, as subtests.
//
// Every case has been seen to fail on a backend that breaks what it checks: see mutants_test.go.
package conformance
