// Go's net/http, and the shapes that who made a goroutine does not tell. See ../README.md.
//
// STACK_MODE says whether calls carry the context of the request that they are made for: contexts, or plain.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

var (
	next     = os.Getenv("NEXT")
	contexts = os.Getenv("STACK_MODE") == "contexts"
)

// call asks for a target, and reads the answer to its end.
func call(ctx context.Context, target string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, next+target, nil)
	if err != nil {
		log.Print(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Print(err)
		return
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		log.Print(err)
	}
}

// hop is one request.
type hop struct {
	ctx           context.Context
	request, name string
	delay         int
}

func (h *hop) call(n int) {
	ctx := context.Background()
	if contexts {
		// Whoever works for it may do so for longer than its client waits.
		ctx = context.WithoutCancel(h.ctx)
	}
	call(ctx, fmt.Sprintf("/hop/%s/%s.%d?delay=%d", h.request, h.name, n, h.delay))
}

// job is work that somebody else does.
type job struct {
	hop  *hop
	n    int
	done chan struct{}
}

func newJob(h *hop, n int) job {
	return job{h, n, make(chan struct{})}
}

func (j job) do() {
	j.hop.call(j.n)
	close(j.done)
}

// crew is at most four goroutines, which are made when there is work. Those of one that shrinks end when there is none.
type crew struct {
	shrinks bool
	lock    sync.Mutex
	more    *sync.Cond
	jobs    []job
	workers int
}

func newCrew(shrinks bool) *crew {
	c := &crew{shrinks: shrinks}
	c.more = sync.NewCond(&c.lock)
	return c
}

func (c *crew) submit(j job) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.jobs = append(c.jobs, j)
	if c.workers < 4 {
		c.workers++
		go c.work()
	} else {
		c.more.Signal()
	}
}

func (c *crew) work() {
	for {
		c.lock.Lock()
		for len(c.jobs) == 0 && !c.shrinks {
			c.more.Wait()
		}
		if len(c.jobs) == 0 {
			c.workers--
			c.lock.Unlock()
			return
		}
		j := c.jobs[0]
		c.jobs = c.jobs[1:]
		c.lock.Unlock()
		j.do()
	}
}

// shapes is what all requests share.
type shapes struct {
	lock              sync.Mutex
	permits           chan struct{}
	common, key, gate chan struct{}
	uses              int
	waiting, gathered []chan struct{}
	stale             chan struct{}
	small, lazy       *crew
}

// shared: one request calls, and those that come meanwhile take what it got.
func (s *shapes) shared(h *hop) {
	s.lock.Lock()
	if found := s.common; found != nil {
		s.lock.Unlock()
		<-found
		return
	}
	mine := make(chan struct{})
	s.common = mine
	s.lock.Unlock()
	h.call(1)
	s.lock.Lock()
	s.common = nil
	s.lock.Unlock()
	close(mine)
}

func (s *shapes) semaphore(h *hop) {
	s.permits <- struct{}{}
	h.call(1)
	<-s.permits
}

// token: every tenth use needs a new one. Who finds that fetches it, the others wait; then each calls.
func (s *shapes) token(h *hop) {
	s.lock.Lock()
	fetches := s.uses%10 == 0
	s.uses++
	if fetches {
		s.key = make(chan struct{})
	}
	wanted := s.key
	s.lock.Unlock()
	if fetches {
		h.call(1)
		close(wanted)
	}
	<-wanted
	h.call(2)
}

// timed: what comes within ten milliseconds is asked for together, by the timer of who came first.
func (s *shapes) timed(h *hop) {
	done := make(chan struct{})
	s.lock.Lock()
	s.waiting = append(s.waiting, done)
	if len(s.waiting) == 1 {
		time.AfterFunc(10*time.Millisecond, func() {
			s.lock.Lock()
			everybody := s.waiting
			s.waiting = nil
			s.lock.Unlock()
			h.call(1)
			for _, one := range everybody {
				close(one)
			}
		})
	}
	s.lock.Unlock()
	<-done
}

// sized: who makes it four asks for all; who waits for long asks for itself.
func (s *shapes) sized(h *hop) {
	mine := make(chan struct{})
	var full []chan struct{}
	s.lock.Lock()
	s.gathered = append(s.gathered, mine)
	if len(s.gathered) == 4 {
		full, s.gathered = s.gathered, nil
	}
	s.lock.Unlock()
	if full != nil {
		h.call(1)
		for _, one := range full {
			close(one)
		}
		return
	}
	select {
	case <-mine:
	case <-time.After(60 * time.Millisecond):
		s.lock.Lock()
		taken := true
		for at, one := range s.gathered {
			if one == mine {
				s.gathered = append(s.gathered[:at:at], s.gathered[at+1:]...)
				taken = false
				break
			}
		}
		s.lock.Unlock()
		if taken {
			<-mine
			return
		}
		h.call(1)
	}
}

// barrier: waits for another, or 20 ms.
func (s *shapes) barrier(h *hop) {
	s.lock.Lock()
	gate := s.gate
	if gate != nil {
		s.gate = nil
		close(gate)
		s.lock.Unlock()
	} else {
		gate = make(chan struct{})
		s.gate = gate
		s.lock.Unlock()
		select {
		case <-gate:
		case <-time.After(20 * time.Millisecond):
			s.lock.Lock()
			if s.gate == gate {
				s.gate = nil
			}
			s.lock.Unlock()
		}
	}
	h.call(1)
}

func (s *shapes) refresh(h *hop) {
	select {
	case s.stale <- struct{}{}:
	default:
	}
	h.call(1)
}

// refresher works for all requests that found something stale since the last time, and for none.
func (s *shapes) refresher() {
	for range s.stale {
		time.Sleep(20 * time.Millisecond)
		call(context.Background(), "/hop/0/b?delay=2")
	}
}

func (s *shapes) prefetch(h *hop) {
	h.call(1)
	go h.call(2)
}

func (s *shapes) shrinking(h *hop) {
	j := newJob(h, 1)
	s.small.submit(j)
	<-j.done
}

func (s *shapes) lazily(h *hop) {
	j := newJob(h, 1)
	s.lazy.submit(j)
	<-j.done
}

func (s *shapes) after(h *hop) {
	go h.call(1)
}

func main() {
	s := &shapes{
		permits: make(chan struct{}, 2),
		stale:   make(chan struct{}, 1),
		small:   newCrew(true),
		lazy:    newCrew(false),
	}
	go s.refresher()
	names := []string{"shared", "semaphore", "token", "timed", "sized", "barrier", "refresh", "prefetch", "shrinking", "lazy", "after"}
	all := map[string]func(*hop){
		"shared": s.shared, "semaphore": s.semaphore, "token": s.token, "timed": s.timed, "sized": s.sized, "barrier": s.barrier,
		"refresh": s.refresh, "prefetch": s.prefetch, "shrinking": s.shrinking, "lazy": s.lazily, "after": s.after,
	}
	all["mix"] = func(h *hop) {
		number, _ := strconv.Atoi(h.request)
		all[names[number%len(names)]](h)
	}
	http.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ready") })
	http.HandleFunc("GET /hop/{request}/{hop}", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		shape, known := all[query.Get("shape")]
		if !known {
			http.Error(w, "no such shape", http.StatusNotImplemented)
			return
		}
		delay, _ := strconv.Atoi(query.Get("delay"))
		shape(&hop{r.Context(), r.PathValue("request"), r.PathValue("hop"), delay})
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintln(w, "hard")
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
