// Go's net/http as server and client: one goroutine a request. With STACK_MODE plain, no call carries its request's context.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
)

var plain = os.Getenv("STACK_MODE") == "plain"

// get asks for a URL and reads the body to its end.
func get(ctx context.Context, client *http.Client, url string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func narrowClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 2
	return &http.Client{Transport: transport}
}

func ready(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ready")
}

func (s *service) serveHop(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	shape, ok := shapes[query.Get("shape")]
	if !ok {
		http.Error(w, "no such shape", http.StatusNotFound)
		return
	}
	depth, _ := strconv.Atoi(query.Get("depth"))
	delay, _ := strconv.Atoi(query.Get("delay"))
	h := &hop{service: s, request: r.PathValue("request"), name: r.PathValue("hop"), delay: delay, depth: depth}
	ctx := r.Context()
	if plain {
		ctx = context.Background()
	}
	if err := shape(ctx, h); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, "hop", h.name)
}

func main() {
	next, err := url.Parse(os.Getenv("NEXT"))
	if err != nil {
		log.Fatal(err)
	}
	s := &service{next: next, narrow: narrowClient(), jobs: make(chan job)}
	for range 2 {
		go s.work()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", ready)
	mux.HandleFunc("GET /hop/{request}/{hop}", s.serveHop)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux))
}
