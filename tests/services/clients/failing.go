// `/w/N` panics with a text that says `n=N`; other paths do not, and log that. Whoever calls waits a little between.
package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"
)

func deep(n string) {
	panic(fmt.Errorf("n=%s", n))
}

func main() {
	shop := slog.New(slog.NewTextHandler(os.Stderr, nil))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		time.Sleep(2 * time.Millisecond)
		if strings.HasPrefix(r.URL.Path, "/w/") {
			deep(n)
		}
		shop.Warn("fine n="+n, "password", "s3cret", "user", n)
		fmt.Fprintf(w, "n=%s", n)
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
