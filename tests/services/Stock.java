import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * A gRPC server and client on grpc-java: `serve PORT` serves, `call PORT CALL…` calls, all on one connection. `wait` waits until the
 * file `go` is in the working directory, `slow` has a deadline, `given_up` is cancelled before its answer comes.
 */
public class Stock {
    /** What `crowd` has under way at once, three times. */
    private static final int STREAMS = 100;

    private static final MethodDescriptor<byte[], byte[]> ONE = method("One", MethodType.UNARY);
    private static final MethodDescriptor<byte[], byte[]> MANY = method("Many", MethodType.SERVER_STREAMING);
    private static final MethodDescriptor<byte[], byte[]> GATHER = method("Gather", MethodType.CLIENT_STREAMING);
    private static final MethodDescriptor<byte[], byte[]> TALK = method("Talk", MethodType.BIDI_STREAMING);

    public static void main(String[] args) throws Exception {
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1]));
        if (args[0].equals("serve")) {
            NettyServerBuilder.forAddress(address).addService(service()).build().start().awaitTermination();
            return;
        }
        ManagedChannel channel = NettyChannelBuilder.forAddress(address).usePlaintext().build();
        for (int n = 2; n < args.length; n++) {
            call(channel, args[n]);
        }
        channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    }

    private static MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
        return MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(type)
            .setFullMethodName("shop.v1.Stock/" + name)
            .setRequestMarshaller(new Bytes())
            .setResponseMarshaller(new Bytes())
            .build();
    }

    /** Messages are bytes as they are. */
    private static class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private static ServerServiceDefinition service() {
        return ServerServiceDefinition.builder("shop.v1.Stock")
            .addMethod(ONE, ServerCalls.asyncUnaryCall(Stock::one))
            .addMethod(MANY, ServerCalls.asyncServerStreamingCall(Stock::many))
            .addMethod(GATHER, ServerCalls.asyncClientStreamingCall(Stock::gather))
            .addMethod(TALK, ServerCalls.asyncBidiStreamingCall(Stock::talk))
            .build();
    }

    private static void one(byte[] request, StreamObserver<byte[]> out) {
        if (new String(request).equals("missing")) {
            out.onError(Status.NOT_FOUND.asRuntimeException());
            return;
        }
        if (new String(request).equals("slow")) {
            try {
                Thread.sleep(1000);
            } catch (InterruptedException left) {
                // Its caller is gone.
            }
        }
        out.onNext(request);
        out.onCompleted();
    }

    private static void many(byte[] request, StreamObserver<byte[]> out) {
        for (int n = 0; n < 5; n++) {
            out.onNext(("item " + n).getBytes());
        }
        out.onCompleted();
    }

    private static StreamObserver<byte[]> gather(StreamObserver<byte[]> out) {
        return new Collector() {
            @Override
            public void onCompleted() {
                out.onNext(String.valueOf(count).getBytes());
                out.onCompleted();
            }
        };
    }

    private static StreamObserver<byte[]> talk(StreamObserver<byte[]> out) {
        return new Collector() {
            @Override
            public void onNext(byte[] message) {
                out.onNext(message);
            }

            @Override
            public void onCompleted() {
                out.onCompleted();
            }
        };
    }

    /** Counts messages; says when no more will come. */
    private static class Collector implements StreamObserver<byte[]> {
        final CountDownLatch done = new CountDownLatch(1);
        int count;

        @Override
        public void onNext(byte[] message) {
            count++;
        }

        @Override
        public void onError(Throwable error) {
            error.printStackTrace();
            done.countDown();
        }

        @Override
        public void onCompleted() {
            done.countDown();
        }
    }

    private static void call(ManagedChannel channel, String kind) throws InterruptedException {
        switch (kind) {
            case "one" -> one(channel, "first");
            case "missing" -> {
                try {
                    one(channel, "missing");
                } catch (StatusRuntimeException expected) {
                    // NOT_FOUND
                }
            }
            case "many" -> {
                var items = ClientCalls.blockingServerStreamingCall(channel, MANY, CallOptions.DEFAULT, "all".getBytes());
                items.forEachRemaining(item -> { });
            }
            case "gather" -> {
                Collector answer = new Collector();
                say(ClientCalls.asyncClientStreamingCall(channel.newCall(GATHER, CallOptions.DEFAULT), answer), "a", "b", "c");
                answer.done.await();
            }
            case "talk" -> {
                Collector answer = new Collector();
                say(ClientCalls.asyncBidiStreamingCall(channel.newCall(TALK, CallOptions.DEFAULT), answer), "hello", "there");
                answer.done.await();
            }
            case "slow" -> {
                try {
                    var options = CallOptions.DEFAULT.withDeadlineAfter(300, TimeUnit.MILLISECONDS);
                    ClientCalls.blockingUnaryCall(channel, ONE, options, "slow".getBytes());
                } catch (StatusRuntimeException expected) {
                    // DEADLINE_EXCEEDED
                }
            }
            case "given_up" -> {
                var answer = ClientCalls.futureUnaryCall(channel.newCall(ONE, CallOptions.DEFAULT), "slow".getBytes());
                Thread.sleep(100);
                answer.cancel(true);
                Thread.sleep(100);
            }
            case "wait" -> {
                System.out.println("waiting");
                while (!new File("go").exists()) {
                    Thread.sleep(10);
                }
            }
            case "crowd" -> crowd(channel);
            default -> throw new IllegalArgumentException(kind);
        }
    }

    private static void one(ManagedChannel channel, String text) {
        ClientCalls.blockingUnaryCall(channel, ONE, CallOptions.DEFAULT, text.getBytes());
    }

    private static void say(StreamObserver<byte[]> stream, String... texts) {
        for (String text : texts) {
            stream.onNext(text.getBytes());
        }
        stream.onCompleted();
    }

    private static void crowd(ManagedChannel channel) throws InterruptedException {
        ExecutorService callers = Executors.newFixedThreadPool(STREAMS);
        for (int n = 0; n < 3 * STREAMS; n++) {
            callers.submit(() -> one(channel, "crowd"));
        }
        callers.shutdown();
        callers.awaitTermination(20, TimeUnit.SECONDS);
    }
}
