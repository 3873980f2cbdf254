// A client of `health_serve`: `health_call PORT SIGN STEP…`, each a call on the same connection: `check`, `cancel` a call that
// waits, `leave` a stream after its first word, `wait` until the file SIGN is there, `exit` while a stream is open.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	connection, err := grpc.Dial("127.0.0.1:"+os.Args[1], grpc.WithInsecure(), grpc.WithBlock())
	must(err)
	client := health.NewHealthClient(connection)
	watch := func(ctx context.Context) health.Health_WatchClient {
		stream, err := client.Watch(ctx, &health.HealthCheckRequest{})
		must(err)
		_, err = stream.Recv()
		must(err)
		return stream
	}
	for _, step := range os.Args[3:] {
		ctx, cancel := context.WithCancel(context.Background())
		switch step {
		case "check":
			_, err := client.Check(ctx, &health.HealthCheckRequest{})
			must(err)
		case "cancel":
			time.AfterFunc(200*time.Millisecond, cancel)
			_, err := client.Check(ctx, &health.HealthCheckRequest{Service: "slow"})
			if err == nil {
				panic("it was to be cancelled")
			}
		case "leave":
			stream := watch(ctx)
			cancel()
			for err == nil {
				_, err = stream.Recv()
			}
			err = nil
		case "exit":
			watch(ctx)
			os.Exit(0)
		case "wait":
			fmt.Println("waiting")
			for {
				if _, err := os.Stat(os.Args[2]); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		cancel()
		// What was cancelled is told the server before the next call begins.
		time.Sleep(50 * time.Millisecond)
	}
	connection.Close()
}
