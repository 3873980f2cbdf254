// Answers late: net/http of Go's standard library, as a server. Its argument is the port.
//
//	/slow/MILLIS   answers after that time, whatever becomes of the client
//	/events        an event stream: a line every 50 ms, until nobody reads
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func slow(w http.ResponseWriter, r *http.Request) {
	millis, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/slow/"))
	time.Sleep(time.Duration(millis) * time.Millisecond)
	fmt.Fprint(w, "late\n")
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for r.Context().Err() == nil {
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		time.Sleep(50 * time.Millisecond)
	}
}

func main() {
	http.HandleFunc("/slow/", slow)
	http.HandleFunc("/events", events)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
