// The Go program that `cargo xtask bench` asks by TLS.
package main

import (
	"bytes"
	"log"
	"net/http"
	"os"
)

func main() {
	body := bytes.Repeat([]byte("x"), 1024)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write(body); err != nil {
			log.Print(err)
		}
	})
	log.Fatal(http.ListenAndServeTLS("127.0.0.1:"+os.Args[1], "cert.pem", "key.pem", nil))
}
