import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The JDK's HTTP server and client. STACK_MODE says which threads handle requests: {@code fixed}, {@code cached} (both
 * answer asynchronously where the client lets them), {@code blocking} or {@code virtual} (all blocking); with {@code -url}
 * behind it the client is {@code HttpURLConnection}.
 */
public final class Hops {
    private static final int BACKLOG = 1024;
    /** Of the fixed pool; the ruler knows the figure. */
    private static final int THREADS = 16;

    private final Shapes shapes;

    private Hops(Shapes shapes) {
        this.shapes = shapes;
    }

    public static void main(String[] args) throws IOException {
        // Head and body are two writes, and Nagle would hold the second back until the first is acknowledged.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        // By default it closes what is idle beyond 200 connections, under the hands of who is about to ask.
        System.setProperty("sun.net.httpserver.maxIdleConnections", "1024");
        String mode = System.getenv("STACK_MODE");
        ExecutorService executor = executor(mode.replace("-url", ""));
        var calls = new Calls(System.getenv("NEXT"), mode.endsWith("-url"));
        var hops = new Hops(shapes(mode, calls, executor));

        var address = new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT")));
        HttpServer server = HttpServer.create(address, BACKLOG);
        server.createContext("/ready", exchange -> answer(exchange, 200, "ready"));
        server.createContext("/hop/", hops::handle);
        server.setExecutor(executor);
        server.start();
    }

    private static Shapes shapes(String mode, Calls calls, ExecutorService executor) {
        return switch (mode.replace("-url", "")) {
            case "fixed", "cached" -> new AsyncShapes(calls, executor);
            // What a request has done aside, the threads that serve do not do: all of them may be waiting for that.
            case "blocking" -> new BlockingShapes(calls, Executors.newCachedThreadPool());
            default -> new BlockingShapes(calls, executor);
        };
    }

    private static ExecutorService executor(String mode) {
        return switch (mode) {
            case "fixed", "blocking" -> Executors.newFixedThreadPool(THREADS);
            case "cached" -> Executors.newCachedThreadPool();
            case "virtual" -> virtualThreads();
            default -> throw new IllegalArgumentException("no such STACK_MODE: " + mode);
        };
    }

    /** By name, because the compiler at hand may be older (17) than the runtime (21 or newer) that has them. */
    private static ExecutorService virtualThreads() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("this Java has no virtual threads", e);
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        Map<String, String> query = query(exchange.getRequestURI().getQuery());
        String[] path = exchange.getRequestURI().getPath().split("/");
        if (path.length != 4) {
            answer(exchange, 404, "no such place");
            return;
        }
        int delay = Integer.parseInt(query.getOrDefault("delay", "0"));
        int depth = Integer.parseInt(query.getOrDefault("depth", "0"));
        var hop = new Hop(path[2], path[3], delay, depth);
        CompletableFuture<Void> done;
        try {
            done = shapes.run(query.getOrDefault("shape", ""), hop);
        } catch (IllegalArgumentException e) {
            answer(exchange, 404, e.getMessage());
            return;
        }
        done.whenComplete((nothing, failure) -> {
            try {
                answer(exchange, failure == null ? 200 : 502, failure == null ? "hop " + hop.name() : failure.toString());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] body = (text + "\n").getBytes();
        exchange.getResponseHeaders().set("Content-Type", "text/plain");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static Map<String, String> query(String text) {
        var parameters = new HashMap<String, String>();
        for (String pair : (text == null ? "" : text).split("&")) {
            int equals = pair.indexOf('=');
            if (equals > 0) {
                parameters.put(pair.substring(0, equals), pair.substring(equals + 1));
            }
        }
        return parameters;
    }
}
