// A service whose requests ask it for more, in the ways in which Go programs share work between goroutines; and what loads it.
//
//	relay serve PORT NEXT VERSION       answers, and asks NEXT
//	relay proxy PORT NEXT               passes on
//	relay load PORT SHAPE FIRST COUNT AT_A_TIME VERSION
//
// A version is h1 or h2, of HTTP; or s1 or s2, of HTTPS, with cert.pem and key.pem where it runs. A path is /hop/SHAPE/NUMBER/NAME: a.2 is asked for the sake of a.
//go:debug httpmuxgo121=0
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const calls = 3

type job struct {
	ctx  context.Context
	url  string
	done chan<- error
}

type service struct {
	client, narrow *http.Client
	next           string
	jobs           chan job
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
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

func client(version string, connections int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.MaxConnsPerHost = connections
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(version == "h1" || version == "s1")
	transport.Protocols.SetUnencryptedHTTP2(version == "h2")
	transport.Protocols.SetHTTP2(version == "s2")
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return &http.Client{Transport: transport}
}

func (s *service) work() {
	for j := range s.jobs {
		j.done <- get(j.ctx, s.client, j.url)
	}
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	shape, number, name := r.PathValue("shape"), r.PathValue("number"), r.PathValue("name")
	deeper := func(n int, shape string) string {
		return fmt.Sprintf("%s/hop/%s/%s/%s.%d", s.next, shape, number, name, n)
	}
	ctx := r.Context()
	var err error
	switch shape {
	case "leaf":
		time.Sleep(time.Millisecond)
	case "chain":
		next := "leaf"
		if strings.Count(name, ".") < calls-1 {
			next = "chain"
		}
		err = get(ctx, s.client, deeper(1, next))
	case "sequence":
		for n := 1; n <= calls && err == nil; n++ {
			err = get(ctx, s.client, deeper(n, "leaf"))
		}
	case "parallel", "helpers":
		if shape == "helpers" {
			ctx = context.Background()
		}
		var group sync.WaitGroup
		errs := make([]error, calls)
		for n := range calls {
			group.Add(1)
			go func() {
				defer group.Done()
				errs[n] = get(ctx, s.client, deeper(n+1, "leaf"))
			}()
		}
		group.Wait()
		for _, one := range errs {
			if one != nil {
				err = one
			}
		}
	case "queue":
		done := make(chan error, 1)
		s.jobs <- job{ctx, deeper(1, "leaf"), done}
		err = <-done
	case "pool":
		err = get(ctx, s.narrow, deeper(1, "leaf"))
	case "timeout":
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, "k", "v"), time.Minute)
		err = get(ctx, s.client, deeper(1, "leaf"))
		cancel()
	case "plain":
		err = get(context.Background(), s.client, deeper(1, "leaf"))
	case "forget":
		go func() {
			time.Sleep(20 * time.Millisecond)
			if err := get(context.WithoutCancel(ctx), s.client, deeper(1, "leaf")); err != nil {
				log.Print(err)
			}
		}()
	default:
		err = fmt.Errorf("no shape %q", shape)
	}
	if err != nil {
		log.Print(err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, "done")
}

func serve(port, next, version string) error {
	s := &service{client: client(version, 0), narrow: client(version, 2), next: next, jobs: make(chan job)}
	for range 2 {
		go s.work()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hop/{shape}/{number}/{name}", s.serve)
	server := &http.Server{Addr: "127.0.0.1:" + port, Handler: mux}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	if strings.HasPrefix(version, "s") {
		server.Protocols.SetHTTP2(true)
		return server.ListenAndServeTLS("cert.pem", "key.pem")
	}
	return server.ListenAndServe()
}

func proxy(port, next string) error {
	target, err := url.Parse(next)
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	proxy.Transport = client("h1", 0).Transport
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	return http.Serve(listener, proxy)
}

func load(port, shape string, first, count, atATime int, version string) error {
	numbers := make(chan int)
	failed := make(chan error, count)
	var group sync.WaitGroup
	client := client(version, 0)
	scheme := "http"
	if strings.HasPrefix(version, "s") {
		scheme = "https"
	}
	for range atATime {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range numbers {
				url := fmt.Sprintf("%s://127.0.0.1:%s/hop/%s/%d/a", scheme, port, shape, n)
				if err := get(context.Background(), client, url); err != nil {
					failed <- err
				}
			}
		}()
	}
	for n := first; n < first+count; n++ {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func main() {
	a := os.Args[1:]
	switch a[0] {
	case "serve":
		log.Fatal(serve(a[1], a[2], a[3]))
	case "proxy":
		log.Fatal(proxy(a[1], a[2]))
	case "load":
		if err := load(a[1], a[2], number(a[3]), number(a[4]), number(a[5]), a[6]); err != nil {
			log.Fatal(err)
		}
	}
}
