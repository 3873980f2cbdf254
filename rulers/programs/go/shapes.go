package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// service is what all requests share.
type service struct {
	next   *url.URL
	narrow *http.Client // at most two connections
	jobs   chan job
}

// job is work for one of the long-lived workers.
type job struct {
	ctx  context.Context
	url  string
	done chan<- error
}

func (s *service) work() {
	for j := range s.jobs {
		_, err := get(j.ctx, http.DefaultClient, j.url)
		j.done <- err
	}
}

// hop is one request's place in the tree.
type hop struct {
	*service
	request, name string
	delay, depth  int
}

// url of the n-th call, with further parameters as "key", "value", ….
func (h *hop) url(n int, more ...string) string {
	query := url.Values{"delay": {strconv.Itoa(h.delay)}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	u := h.next.JoinPath("hop", h.request, fmt.Sprintf("%s.%d", h.name, n))
	u.RawQuery = query.Encode()
	return u.String()
}

func (h *hop) wait() time.Duration {
	return time.Duration(h.delay) * time.Millisecond
}

var shapes = map[string]func(context.Context, *hop) error{
	"chain":    chain,
	"sequence": sequence,
	"parallel": parallel,
	"retry":    retry,
	"forget":   forget,
	"pool":     pool,
	"queue":    queue,
	"timer":    timer,
}

func chain(ctx context.Context, h *hop) error {
	var more []string
	if h.depth >= 1 {
		more = []string{"shape", "chain", "depth", strconv.Itoa(h.depth - 1)}
	}
	_, err := get(ctx, http.DefaultClient, h.url(1, more...))
	return err
}

func sequence(ctx context.Context, h *hop) error {
	for n := 1; n <= 3; n++ {
		if _, err := get(ctx, http.DefaultClient, h.url(n)); err != nil {
			return err
		}
	}
	return nil
}

func parallel(ctx context.Context, h *hop) error {
	errs := make([]error, 3)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			_, errs[i] = get(ctx, http.DefaultClient, h.url(i+1))
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

func retry(ctx context.Context, h *hop) error {
	status, err := get(ctx, http.DefaultClient, h.url(1, "fail", "1"))
	if err == nil && status == http.StatusServiceUnavailable {
		_, err = get(ctx, http.DefaultClient, h.url(2))
	}
	return err
}

func forget(ctx context.Context, h *hop) error {
	ctx = context.WithoutCancel(ctx)
	go func() {
		time.Sleep(h.wait())
		if _, err := get(ctx, http.DefaultClient, h.url(1)); err != nil {
			log.Print(err)
		}
	}()
	return nil
}

func pool(ctx context.Context, h *hop) error {
	_, err := get(ctx, h.narrow, h.url(1))
	return err
}

func queue(ctx context.Context, h *hop) error {
	done := make(chan error, 1)
	h.jobs <- job{ctx, h.url(1), done}
	return <-done
}

func timer(ctx context.Context, h *hop) error {
	select {
	case <-time.After(h.wait()):
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := get(ctx, http.DefaultClient, h.url(1))
	return err
}
