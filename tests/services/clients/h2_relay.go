// A service over HTTP/2 without TLS, made with golang.org/x/net/http2 and not with what net/http brings itself. It answers as
// relay.go does, which loads it.
//
//	h2_relay serve PORT NEXT
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

type job struct {
	ctx  context.Context
	url  string
	done chan<- error
}

type service struct {
	client *http.Client
	next   string
	jobs   chan job
}

func (s *service) get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return err
}

func (s *service) work() {
	for j := range s.jobs {
		j.done <- s.get(j.ctx, j.url)
	}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// "", "hop", the shape, the number, the name.
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) != 5 {
		http.NotFound(w, r)
		return
	}
	next := func(shape string) string { return fmt.Sprintf("%s/hop/%s/%s/%s.1", s.next, shape, parts[3], parts[4]) }
	var err error
	switch parts[2] {
	case "leaf":
		time.Sleep(time.Millisecond)
	case "chain":
		shape := "leaf"
		if strings.Count(parts[4], ".") < 2 {
			shape = "chain"
		}
		err = s.get(r.Context(), next(shape))
	case "queue":
		done := make(chan error, 1)
		s.jobs <- job{r.Context(), next("leaf"), done}
		err = <-done
	default:
		err = fmt.Errorf("no shape %q", parts[2])
	}
	if err != nil {
		log.Print(err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "done")
}

func main() {
	transport := &http2.Transport{AllowHTTP: true}
	transport.DialTLS = func(network, address string, _ *tls.Config) (net.Conn, error) { return net.Dial(network, address) }
	s := &service{client: &http.Client{Transport: transport}, next: os.Args[3], jobs: make(chan job)}
	for range 2 {
		go s.work()
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[2], h2c.NewHandler(s, &http2.Server{})))
}
