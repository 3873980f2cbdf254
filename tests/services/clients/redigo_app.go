// redigo: commands, a pipeline, a transaction, an error.
package main

import (
	"os"

	"github.com/gomodule/redigo/redis"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	client, err := redis.Dial("tcp", "127.0.0.1:"+os.Args[1])
	check(err)
	_, err = client.Do("SET", "key", "secret")
	check(err)
	check(client.Send("INCR", "n"))
	check(client.Send("GET", "n"))
	check(client.Flush())
	for n := 0; n < 2; n++ {
		_, err = client.Receive()
		check(err)
	}
	check(client.Send("MULTI"))
	check(client.Send("SELECT", 3))
	check(client.Send("GET", "key"))
	_, err = client.Do("EXEC")
	check(err)
	if _, err = client.Do("NOSUCH", "secret"); err == nil {
		panic("there is no such command")
	}
	check(client.Close())
}
