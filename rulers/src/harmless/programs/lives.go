// A server for the ruler harmless: each request makes a call, forks or lets the program be replaced.
//
//	lives PORT
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		// A child that only has to live.
		return
	}
	own := "http://127.0.0.1:" + os.Args[1]
	answer := func(w http.ResponseWriter, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "well")
	}
	http.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) { answer(w, nil) })
	http.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, own+"/leaf", nil)
		if err == nil {
			var response *http.Response
			if response, err = http.DefaultClient.Do(request); err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}
		answer(w, err)
	})
	http.HandleFunc("/fork", func(w http.ResponseWriter, r *http.Request) { answer(w, exec.Command(os.Args[0]).Run()) })
	http.HandleFunc("/exec", func(w http.ResponseWriter, r *http.Request) {
		answer(w, nil)
		time.AfterFunc(20*time.Millisecond, func() { log.Fatal(syscall.Exec(os.Args[0], os.Args, os.Environ())) })
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
