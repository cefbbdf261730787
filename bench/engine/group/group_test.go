package group

import (
	"runtime"
	"sync"
	"testing"
)

type request struct {
	add  int
	seen bool
}

func TestEveryRequestRunsOnceAndAlone(t *testing.T) {
	sum, inside, widest := 0, 0, 0
	g := New(func(requests []*request) {
		inside++
		if inside != 1 {
			t.Error("two calls at a time")
		}
		widest = max(widest, len(requests))
		runtime.Gosched()
		for _, r := range requests {
			if r.seen {
				t.Error("a request was run twice")
			}
			r.seen = true
			sum += r.add
		}
		inside--
	})
	const clients, each = 16, 2000
	var wait sync.WaitGroup
	for range clients {
		wait.Go(func() {
			for range each {
				r := &request{add: 1}
				if g.Do(r); !r.seen {
					t.Error("Do returned before its request was run")
				}
			}
		})
	}
	wait.Wait()
	if sum != clients*each {
		t.Errorf("%d requests were run, want %d", sum, clients*each)
	}
	if widest < 2 || widest > clients {
		t.Errorf("the widest call had %d requests, want 2 to %d", widest, clients)
	}
}

func TestGoroutineThatEndsInRunPassesTheTurn(t *testing.T) {
	g := New(func(requests []*request) {
		if requests[0].add < 0 {
			runtime.Goexit()
		}
		requests[0].seen = true
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Do(&request{add: -1})
	}()
	<-ended
	r := &request{}
	if g.Do(r); !r.seen {
		t.Error("the request was not run")
	}
}
