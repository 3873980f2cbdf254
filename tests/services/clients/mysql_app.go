// go-sql-driver by database/sql: a text query, statements of a moment, a prepared one, a transaction, an error.
package main

import (
	"database/sql"
	"os"

	_ "github.com/go-sql-driver/mysql"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	db, err := sql.Open("mysql", "app:hunter2@tcp(127.0.0.1:"+os.Args[1]+")/shop")
	check(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE gomy (id int PRIMARY KEY, name text)")
	check(err)
	_, err = db.Exec("INSERT INTO gomy VALUES (?, ?)", 1, nil)
	check(err)
	statement, err := db.Prepare("SELECT name FROM gomy WHERE id = ?")
	check(err)
	for id := 1; id <= 2; id++ {
		rows, err := statement.Query(id)
		check(err)
		check(rows.Close())
	}
	check(statement.Close())
	transaction, err := db.Begin()
	check(err)
	if _, err = transaction.Exec("INSERT INTO gomy VALUES (1, 'secret')"); err == nil {
		panic("it is there already")
	}
	check(transaction.Rollback())
	check(db.Close())
}
