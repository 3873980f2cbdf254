// Services in a row: HTTP, then gRPC, then PostgreSQL by database/sql; and what loads them.
//
//	grpc_relay web PORT GRPC-PORT [tls]        each request asks three times by gRPC, at once
//	grpc_relay rpc PORT POSTGRES-PORT [tls]    each call asks PostgreSQL, and itself once more
//	grpc_relay load PORT FIRST COUNT AT_A_TIME
//
// With tls, gRPC and the database are asked so, and cert.pem and key.pem are where it runs. A method is /relay.Relay/NUMBER-NAME, as a path is /hop/web/NUMBER/NAME: a.2 is asked for the sake of a.
package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	_ "github.com/lib/pq"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func dial(port string, secure bool) *grpc.ClientConn {
	trust := insecure.NewCredentials()
	if secure {
		trust = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(trust))
	check(err)
	return conn
}

func ask(ctx context.Context, conn *grpc.ClientConn, method string) error {
	return conn.Invoke(ctx, "/relay.Relay/"+method, wrapperspb.String("?"), new(wrapperspb.StringValue))
}

func web(port, rpc string, secure bool) {
	conn := dial(rpc, secure)
	http.HandleFunc("GET /hop/web/{number}/{name}", func(w http.ResponseWriter, r *http.Request) {
		number, name := r.PathValue("number"), r.PathValue("name")
		var group sync.WaitGroup
		for n := 1; n <= 3; n++ {
			group.Go(func() {
				if err := ask(r.Context(), conn, fmt.Sprintf("%s-%s.%d", number, name, n)); err != nil {
					log.Print(err)
				}
			})
		}
		group.Wait()
		io.WriteString(w, "done")
	})
	check(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func rpc(port, postgres string, secure bool) {
	mode, options := "disable", []grpc.ServerOption{}
	if secure {
		own, err := credentials.NewServerTLSFromFile("cert.pem", "key.pem")
		check(err)
		mode, options = "require", append(options, grpc.Creds(own))
	}
	db, err := sql.Open("postgres", "host=127.0.0.1 user=app dbname=shop sslmode="+mode+" port="+postgres)
	check(err)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	conn := dial(port, secure)
	handle := func(_ any, stream grpc.ServerStream) error {
		method, _ := grpc.MethodFromServerStream(stream)
		number, name, _ := strings.Cut(strings.TrimPrefix(method, "/relay.Relay/"), "-")
		in := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(in); err != nil {
			return err
		}
		ctx := stream.Context()
		var answer string
		query := fmt.Sprintf("SELECT 'x' AS a%s_%s", number, strings.ReplaceAll(name, ".", "_"))
		if err := db.QueryRowContext(ctx, query).Scan(&answer); err != nil {
			return err
		}
		if strings.Count(name, ".") == 1 {
			if err := ask(ctx, conn, fmt.Sprintf("%s-%s.1", number, name)); err != nil {
				return err
			}
		}
		return stream.SendMsg(wrapperspb.String(answer))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	check(err)
	check(grpc.NewServer(append(options, grpc.UnknownServiceHandler(handle))...).Serve(listener))
}

func load(port string, first, count, atATime int) {
	numbers := make(chan int)
	var group sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atATime}}
	for range atATime {
		group.Go(func() {
			for n := range numbers {
				response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%s/hop/web/%d/a", port, n))
				check(err)
				_, err = io.Copy(io.Discard, response.Body)
				check(err)
				check(response.Body.Close())
			}
		})
	}
	for n := first; n < first+count; n++ {
		numbers <- n
	}
	close(numbers)
	group.Wait()
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func main() {
	a := os.Args[1:]
	secure := a[len(a)-1] == "tls"
	switch a[0] {
	case "web":
		web(a[1], a[2], secure)
	case "rpc":
		rpc(a[1], a[2], secure)
	case "load":
		load(a[1], number(a[2]), number(a[3]), number(a[4]))
	}
}
