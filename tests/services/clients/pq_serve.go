// A service: each request asks PostgreSQL twice, by database/sql and lib/pq, over few connections. And its load.
//
//	pq_serve serve PORT POSTGRES
//	pq_serve load PORT REQUESTS AT-A-TIME
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	_ "github.com/lib/pq"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Columns are named after the request, so that each query says whose it is.
func ask(db *sql.DB, ctx context.Context, column string) string {
	var answer string
	check(db.QueryRowContext(ctx, "SELECT pg_sleep(0.002), 'x' AS "+column).Scan(new(any), &answer))
	return answer
}

func serve(port, postgres string) {
	db, err := sql.Open("postgres", "host=127.0.0.1 user=app dbname=shop sslmode=disable port="+postgres)
	check(err)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	http.HandleFunc("/q/", func(w http.ResponseWriter, r *http.Request) {
		number := strings.TrimPrefix(r.URL.Path, "/q/")
		first := ask(db, context.Background(), "a"+number)
		io.WriteString(w, first+ask(db, r.Context(), "b"+number))
	})
	check(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func load(port string, requests, atATime int) {
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atATime}}
	numbers, done := make(chan int), sync.WaitGroup{}
	for range atATime {
		done.Add(1)
		go func() {
			defer done.Done()
			for number := range numbers {
				response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%s/q/%d", port, number))
				check(err)
				_, err = io.ReadAll(response.Body)
				check(err)
				check(response.Body.Close())
			}
		}()
	}
	for number := range requests {
		numbers <- number
	}
	close(numbers)
	done.Wait()
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
		return
	}
	requests, err := strconv.Atoi(os.Args[3])
	check(err)
	atATime, err := strconv.Atoi(os.Args[4])
	check(err)
	load(os.Args[2], requests, atATime)
}
