// Package sim crash-tests programs that keep their state in an aegis store, in a simulated world:
// the real engine, actor by actor and message by message, over a simulated disk that loses power,
// tears writes, fails calls and fills up, with a clock and a scheduler that one seed decides.
//
// A test is a subject: a function that is called at the start of each life of the program. It opens
// its store, checks what it finds, starts clients, and returns:
//
//	func TestCounter(t *testing.T) {
//		sim.Test(t, func() func(*sim.Life) {
//			acked := 0 // ordinary memory outlives the crashes
//			return func(l *sim.Life) {
//				db, err := aegis.Open("", l.Options())
//				l.Must(err)
//				if n := read(db); n < acked {
//					l.Failf("the counter is %d, %d was acknowledged", n, acked)
//				}
//				l.AtClose(db.Close)
//				l.Go("counter", func(c *sim.Client) {
//					for c.Next() {
//						n, err := increment(c.Context(), db)
//						l.Must(err)
//						acked = n
//					}
//				})
//			}
//		})
//	}
//
// Test runs it for many seeds. In each, the program lives several times, and each life ends by an
// orderly close, by the death of the process, or by a power cut, in the middle of an operation, of
// a recovery or of the close itself. A failure prints a token; Replay runs that token again,
// exactly. Before that it is shrunk: operations, faults and switches between clients that the
// failure does not need are left out.
//
// # Rules for subjects
//
// Everything runs one at a time on coroutines, so a subject needs no locks, and its checks may
// compare ordinary variables. In return:
//
//   - Only the functions given to Life.Go and Test may call the store and the Life. A go statement
//     whose goroutine does is reported in words.
//   - A client must not hold a mutex, or wait on a channel of its own, across a call of the store:
//     whoever else wants it would block the whole world. That is reported, too, with all stacks.
//   - Time comes from Life, Client and their contexts, chance from Client.Intn. What reads the
//     process's clock or global random numbers cannot be replayed.
//   - A crash ends clients in the middle of a call by runtime.Goexit: deferred functions run, and
//     what they call on the store ends them at once. runtime.LockOSThread is not supported.
//
// # Packages
//
// world is the scheduler, disk the disk with its faults, history checks what clients saw, swarm is
// aegis's own workload, explore visits every crash point of a small one, plant breaks the engine on
// purpose to see that all this finds it, report tells a failing run to people.
package sim
