// The Go program that `cargo xtask bench` puts under load.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func main() {
	items := []item{{1, "one"}, {2, "two"}, {3, "three"}}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(items); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
