package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/aegis-storage/aegis"
)

// Errors of a Queue.
var (
	errEmpty = errors.New("queue: no job is waiting")
	errLate  = errors.New("queue: the lease ran out, and the job is someone else's or done")
)

// Queue hands out jobs, each to one worker at a time. A worker that crashes, or takes too long,
// loses its job when the lease ends; then another may take it. A job is finished once.
type Queue struct {
	db  *aegis.DB
	now func() time.Time // a program gives time.Now; a test the simulated clock
}

// Job is what a worker gets.
type Job struct {
	ID      string
	Lease   int       // how often the job was handed out, this time included
	From    time.Time // the job is this worker's from here …
	Until   time.Time // … to here
	Done    bool
	Waiting bool // it was never handed out
}

// OpenQueue opens a queue with a clock of the caller's.
func OpenQueue(o *aegis.Options, now func() time.Time) (*Queue, error) {
	db, err := aegis.Open("queue", o)
	return &Queue{db, now}, err
}

// Close closes the queue. Leases go on.
func (q *Queue) Close() error { return q.db.Close() }

// Enqueue adds a job. When it returns nil the job will not be lost.
func (q *Queue) Enqueue(ctx context.Context, id string) error {
	return q.db.Update(ctx, func(tx *aegis.Tx) error { return put(tx, Job{ID: id, Waiting: true}) })
}

// Take hands out the first job that is waiting, or whose lease has ended. errEmpty: there is none.
func (q *Queue) Take(ctx context.Context, lease time.Duration) (job Job, err error) {
	err = q.db.Update(ctx, func(tx *aegis.Tx) error { // it runs again after a conflict: all that it does it does anew
		if job, err = q.free(tx); err != nil {
			return err
		}
		return put(tx, q.lease(&job, lease))
	})
	return job, err
}

// Done finishes a job. errLate: the worker took too long, and somebody else has the job, or has
// done it.
func (q *Queue) Done(ctx context.Context, job Job) error {
	return q.db.Update(ctx, func(tx *aegis.Tx) error { return finish(tx, job) })
}

// Jobs returns all jobs, finished ones too.
func (q *Queue) Jobs(ctx context.Context) (jobs []Job, err error) {
	err = q.db.View(ctx, func(tx *aegis.Tx) error {
		jobs, err = all(tx)
		return err
	})
	return jobs, err
}

// free finds the job that is next.
func (q *Queue) free(tx *aegis.Tx) (Job, error) {
	jobs, err := all(tx)
	if err != nil {
		return Job{}, err
	}
	for _, job := range jobs {
		if job.Waiting || !job.Done && q.now().After(job.Until) {
			return job, nil
		}
	}
	return Job{}, errEmpty
}

// lease makes the job a worker's.
func (q *Queue) lease(job *Job, d time.Duration) Job {
	job.Waiting, job.Lease, job.From = false, job.Lease+1, q.now()
	job.Until = job.From.Add(d)
	return *job
}

// finish marks a job, if it is still the worker's.
func finish(tx *aegis.Tx, job Job) error {
	v, err := tx.Get(key(job.ID))
	if err != nil {
		return err
	}
	var stored Job
	if err := json.Unmarshal(v, &stored); err != nil {
		return err
	}
	if stored.Done || stored.Lease != job.Lease {
		return errLate
	}
	stored.Done = true
	return put(tx, stored)
}

// all reads the jobs, by their IDs.
func all(tx *aegis.Tx) (jobs []Job, err error) {
	for _, v := range tx.Prefix([]byte("job/")) {
		var job Job
		if err := json.Unmarshal(v, &job); err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, tx.Err()
}

func put(tx *aegis.Tx, job Job) error {
	v, err := json.Marshal(job)
	if err != nil {
		return err
	}
	return tx.Put(key(job.ID), v)
}

func key(id string) []byte { return []byte("job/" + id) }
