// Package explore visits systematically what package sim draws: every point at which a small
// workload can be interrupted, and every way in which a few switches can order its tasks.
//
//   - Boundaries crashes the first life at each boundary of an I/O call, by a kill and by a power
//     cut, and recovers from every image of the disk that it may leave.
//   - Nested does that, and crashes each recovery at each of its boundaries in turn.
//   - Interleavings runs every schedule that departs from the sequential one at most so many times.
//
// The subject is one of sim.Test's. It must do the same whenever the same happens to it: what does
// not is reported as a failure of the check "determinism". All run counts but Elapsed are the same
// whenever the same is explored, however many jobs share the work.
//
// # What counts as the same
//
// A crash is left out if another one has been visited that nobody can tell from it: in the same
// life, of the same kind, leaving the same image, where no code of the subject ran in between. What
// it recovers to then is the same but for the schedule of the recovery, of which one is taken.
//
// # What a schedule is
//
// In the sequential schedule a task (a client, an actor, a job) runs until it waits, then the first
// that can, in the order in which they were started. A switch is a departure at one point: the task
// that would have run falls to the end of that order, and another one runs. There is a point at
// every yield of a running task (API calls, I/O calls, messages, taking a View) and wherever one has
// stopped. So two switches reach every schedule that stops a task anywhere and resumes it anywhere,
// with the sequential order in between. Schedules that depart from it more often, also where tasks
// wait anyway, are not visited.
package explore
