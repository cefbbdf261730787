package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aegis-storage/aegis/sim"
)

// The crash tests: these two functions are what to write for a program of your own. Where a test
// alone needs one it stands in a _test.go file, as the argument of sim.Test; here main.go runs
// them too.
//
// Each returns a sim.Subject: a function that is called once for each seed, and returns one that is
// called at the start of each life of the program. What the outer function holds is the test's own
// memory, which no crash takes.

// crashBank holds a bank to its promises: money is neither made nor lost, and a transfer that was
// acknowledged has been made. transfer is how the tellers move money.
func crashBank(transfer func(*Bank, context.Context, Transfer) error) sim.Subject {
	return func() func(*sim.Life) {
		var acknowledged []string
		return func(l *sim.Life) {
			bank, err := OpenBank(l.Options()) // a small store on a disk that may lose power
			l.Must(err)                        // any error is a failure: nothing but crashes happens here
			l.AtClose(bank.Close)

			total, err := bank.Total(l.Context()) // what must hold after every recovery
			l.Must(err)
			if want := accounts * opening; total != want {
				l.Failf("the accounts hold %d together, %d were paid in", total, want)
			}
			for _, id := range acknowledged {
				made, err := bank.Receipt(l.Context(), id)
				l.Must(err)
				if !made {
					l.Failf("transfer %s was acknowledged, and is not there", id)
				}
			}

			for _, name := range []string{"ann", "bob"} { // who uses the bank at the same time
				l.Go(name, func(c *sim.Client) {
					for c.Next() { // each operation by itself: shrinking leaves some out
						t := Transfer{
							ID:   fmt.Sprintf("%s-%d-%d", name, l.Number(), c.Op()),
							From: c.Intn(accounts), To: c.Intn(accounts), Cents: 1 + c.Intn(opening),
						}
						c.Does("transfer %s: %d from %d to %d", t.ID, t.Cents, t.From, t.To)
						err := transfer(bank, c.Context(), t)
						c.Did("%v", err)
						if errors.Is(err, errFunds) {
							continue
						}
						c.Must(err)
						acknowledged = append(acknowledged, t.ID) // a crash comes before this, or after
					}
				})
			}
		}
	}
}

// queueTest is what the test of a queue remembers over crashes.
type queueTest struct {
	take  func(*Queue, context.Context, time.Duration) (Job, error)
	done  func(*Queue, context.Context, Job) error
	queue *Queue // of the present life

	acknowledged []string       // jobs that were enqueued
	held         map[string]Job // as a worker got it last
	finished     map[string]bool
}

// crashQueue holds a queue to its promises: no job is lost, none is handed out to two at the same
// time, none is finished twice. take and done are how the workers get and finish jobs.
func crashQueue(take func(*Queue, context.Context, time.Duration) (Job, error), done func(*Queue, context.Context, Job) error) sim.Subject {
	return func() func(*sim.Life) {
		q := queueTest{take: take, done: done, held: map[string]Job{}, finished: map[string]bool{}}
		return q.live
	}
}

// live is one life of the program.
func (q *queueTest) live(l *sim.Life) {
	var err error
	q.queue, err = OpenQueue(l.Options(), l.Now) // the clock is the world's: leases end when it says
	l.Must(err)
	l.AtClose(q.queue.Close)
	q.audit(l)
	l.Go("producer", func(c *sim.Client) {
		for c.Next() {
			id := fmt.Sprintf("%d-%d", l.Number(), c.Op())
			c.Must(q.queue.Enqueue(c.Context(), id))
			q.acknowledged = append(q.acknowledged, id)
		}
	})
	l.Go("worker-1", q.work)
	l.Go("worker-2", q.work)
}

// audit is what must hold after every recovery: no job is lost, none that is finished waits again.
func (q *queueTest) audit(l *sim.Life) {
	jobs, err := q.queue.Jobs(l.Context())
	l.Must(err)
	stored := map[string]Job{}
	for _, job := range jobs {
		stored[job.ID] = job
		if q.finished[job.ID] && !job.Done {
			l.Failf("job %s was finished, and is to be done again", job.ID)
		}
	}
	for _, id := range q.acknowledged {
		if _, there := stored[id]; !there {
			l.Failf("job %s was enqueued, and is lost", id)
		}
	}
}

// work takes jobs, and checks at each moment what must hold at that moment.
func (q *queueTest) work(c *sim.Client) {
	const lease = time.Minute
	for c.Next() {
		job, err := q.take(q.queue, c.Context(), lease)
		if errors.Is(err, errEmpty) {
			c.Sleep(lease / 4)
			continue
		}
		c.Must(err)
		// Answers may be late: what counts is not when this worker hears, but whether the leases overlap.
		if other := q.held[job.ID]; job.From.Before(other.Until) && other.From.Before(job.Until) {
			c.Failf("job %s was handed out from %s to %s, and to another worker from %s to %s",
				job.ID, clock(job.From), clock(job.Until), clock(other.From), clock(other.Until))
		}
		q.held[job.ID] = job

		c.Sleep(time.Duration(c.Intn(90)) * time.Second) // the work; it may take longer than the lease

		err = q.done(q.queue, c.Context(), job)
		if errors.Is(err, errLate) {
			continue
		}
		c.Must(err)
		if q.finished[job.ID] {
			c.Failf("job %s was finished twice", job.ID)
		}
		q.finished[job.ID] = true
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
