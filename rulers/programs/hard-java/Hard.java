import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;

/**
 * The JDK's HTTP server on a fixed pool of threads, blocking calls, and the shapes that threads alone do not tell. STACK_MODE may
 * ask for virtual threads: {@code virtual}, one for each piece of work, or {@code virtual-pool}, a fixed pool of them.
 */
public final class Hard {
    private static final int BACKLOG = 1024;
    /** Of the server's pool; the ruler knows the figure. */
    private static final int THREADS = 16;

    public static void main(String[] args) throws IOException {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        System.setProperty("sun.net.httpserver.maxIdleConnections", "1024");
        ExecutorService pool = pool(System.getenv().getOrDefault("STACK_MODE", ""));
        var shapes = new HardShapes(System.getenv("NEXT"), pool);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), BACKLOG);
        server.createContext("/ready", exchange -> answer(exchange, 200));
        server.createContext("/hop/", exchange -> handle(exchange, shapes));
        server.setExecutor(pool);
        server.start();
    }

    private static ExecutorService pool(String mode) {
        // By name, because the compiler at hand may be older than the runtime that has them.
        try {
            return switch (mode) {
                case "virtual" -> (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
                case "virtual-pool" -> {
                    Object builder = Thread.class.getMethod("ofVirtual").invoke(null);
                    var factory = (ThreadFactory) Class.forName("java.lang.Thread$Builder").getMethod("factory").invoke(builder);
                    yield Executors.newFixedThreadPool(THREADS, factory);
                }
                default -> Executors.newFixedThreadPool(THREADS);
            };
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("this Java has no virtual threads", e);
        }
    }

    private static void handle(HttpExchange exchange, HardShapes shapes) throws IOException {
        String[] path = exchange.getRequestURI().getPath().split("/");
        Map<String, String> query = query(exchange.getRequestURI().getQuery());
        var hop = new HardShapes.Hop(path[2], path[3], Integer.parseInt(query.getOrDefault("delay", "0")));
        try {
            // Answers when, and on the thread on which, the shape says so.
            shapes.run(query.getOrDefault("shape", ""), hop, status -> {
                try {
                    answer(exchange, status);
                } catch (IOException e) {
                    exchange.close();
                }
            });
        } catch (IllegalArgumentException e) {
            answer(exchange, 501);
        }
    }

    private static void answer(HttpExchange exchange, int status) throws IOException {
        byte[] body = "hard\n".getBytes();
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
