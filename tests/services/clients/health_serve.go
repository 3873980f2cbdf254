// A gRPC server: `health_serve PORT`. `Check` of the service `slow` answers when its caller has given it up, `Watch` says one
// word and goes on until its reader leaves.
package main

import (
	"context"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

type server struct {
	health.UnimplementedHealthServer
}

var serving = &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}

func (server) Check(ctx context.Context, request *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	if request.Service == "slow" {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return serving, nil
}

func (server) Watch(request *health.HealthCheckRequest, stream health.Health_WatchServer) error {
	if err := stream.Send(serving); err != nil {
		return err
	}
	<-stream.Context().Done()
	return status.Error(codes.Canceled, "the reader has left")
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	health.RegisterHealthServer(s, server{})
	panic(s.Serve(listener))
}
