// lib/pq by database/sql: statements of a moment, a prepared one, a transaction, COPY, an error.
package main

import (
	"database/sql"
	"fmt"
	"os"

	"github.com/lib/pq"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	db, err := sql.Open("postgres", "host=127.0.0.1 user=app dbname=shop sslmode=disable port="+os.Args[1])
	check(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE gopq (id int PRIMARY KEY, name text, tags text[])")
	check(err)
	_, err = db.Exec("INSERT INTO gopq VALUES ($1, $2, $3)", 1, nil, pq.Array([]string{"secret"}))
	check(err)
	statement, err := db.Prepare("SELECT name FROM gopq WHERE id = $1")
	check(err)
	for id := 1; id <= 2; id++ {
		rows, err := statement.Query(id)
		check(err)
		check(rows.Close())
	}
	check(statement.Close())
	if _, err = db.Exec("INSERT INTO gopq VALUES (1)"); err == nil {
		panic("it is there already")
	}
	transaction, err := db.Begin()
	check(err)
	copying, err := transaction.Prepare(pq.CopyIn("gopq", "id", "name"))
	check(err)
	for id := 10; id < 500; id++ {
		_, err = copying.Exec(id, fmt.Sprint("secret ", id))
		check(err)
	}
	_, err = copying.Exec()
	check(err)
	check(copying.Close())
	check(transaction.Commit())
	check(db.Close())
}
