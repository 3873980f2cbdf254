// pgx: its cache of prepared statements, a batch, COPY, an error.
package main

import (
	"context"
	"os"

	"github.com/jackc/pgx/v4"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	db, err := pgx.Connect(ctx, "host=127.0.0.1 user=app dbname=shop sslmode=disable port="+os.Args[1])
	check(err)
	_, err = db.Exec(ctx, "CREATE TABLE gopgx (id int PRIMARY KEY, name text)")
	check(err)
	for id := 1; id <= 2; id++ {
		_, err = db.Exec(ctx, "INSERT INTO gopgx VALUES ($1, $2)", id, "secret")
		check(err)
	}
	batch := &pgx.Batch{}
	batch.Queue("SELECT name FROM gopgx WHERE id = $1", 1)
	batch.Queue("UPDATE gopgx SET name = $1", "secret")
	results := db.SendBatch(ctx, batch)
	_, err = results.Exec()
	check(err)
	_, err = results.Exec()
	check(err)
	check(results.Close())
	var rows [][]interface{}
	for id := 10; id < 500; id++ {
		rows = append(rows, []interface{}{id, "secret"})
	}
	_, err = db.CopyFrom(ctx, pgx.Identifier{"gopgx"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
	check(err)
	if _, err = db.Exec(ctx, "SELECT * FROM nowhere"); err == nil {
		panic("there is no such table")
	}
	check(db.Close(ctx))
}
