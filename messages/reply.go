package messages

// Reply is the one-shot answer to a client's request. The zero value is not usable: NewReply.
//
// Invariants:
//  1. Resolve is called exactly once for each time that the request is sent.
//  2. A Reply whose waiter gave up (its context ended) is never used again.
type Reply[T any] struct {
	ch chan T
}

// NewReply returns an unresolved Reply.
func NewReply[T any]() Reply[T] { return Reply[T]{ch: make(chan T, 1)} }

// Resolve hands the answer over. It never blocks.
func (r Reply[T]) Resolve(v T) {
	if len(r.ch) != 0 {
		panic("messages: a reply was resolved twice")
	}
	r.ch <- v
}

// ErrorReply is the answer to a request that is done, or failed: an Await, a Checkpoint, a Compact or
// an Ingest.
type ErrorReply struct {
	To  Reply[error]
	Err error
}

// String says what the client is told, for traces.
func (r *ErrorReply) String() string {
	if r.Err != nil {
		return "failed: " + r.Err.Error()
	}
	return "done"
}

// Ready reports whether a receive from Done will not block.
func (r Reply[T]) Ready() bool { return len(r.ch) > 0 }

// Done is the channel on which the answer comes, once.
func (r Reply[T]) Done() <-chan T { return r.ch }
