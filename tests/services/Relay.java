import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URL;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * The JDK's own HTTP server on a pool of few threads. What it does with {@code /hop/N/0} depends on N: calls and answers; answers,
 * and leaves the call to the pool; or hands the request on, for some thread of the pool to call and to answer. With a third
 * argument it has another pool do what is left or handed on.
 */
public class Relay {
    private static final Executor POOL = Executors.newFixedThreadPool(4);
    private static final ScheduledExecutorService LATER = Executors.newSingleThreadScheduledExecutor();
    private static Executor helpers = POOL;
    private static String downstream;

    public static void main(String[] args) throws IOException {
        downstream = args[1];
        if (args.length > 2) {
            helpers = Executors.newFixedThreadPool(4);
        }
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.createContext("/", Relay::handle);
        server.setExecutor(POOL);
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        int number = Integer.parseInt(exchange.getRequestURI().getPath().split("/")[2]);
        switch (number % 4) {
            case 0 -> LATER.schedule(() -> helpers.execute(() -> { call(number); answer(exchange); }), 3, TimeUnit.MILLISECONDS);
            case 1 -> { answer(exchange); LATER.schedule(() -> helpers.execute(() -> call(number)), 2, TimeUnit.MILLISECONDS); }
            default -> { call(number); answer(exchange); }
        }
    }

    private static void answer(HttpExchange exchange) {
        try {
            exchange.sendResponseHeaders(200, 3);
            exchange.getResponseBody().write("ok\n".getBytes());
            exchange.close();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void call(int number) {
        try {
            URL url = new URL(downstream + "/hop/" + number + "/1");
            try (var in = ((HttpURLConnection) url.openConnection(Proxy.NO_PROXY)).getInputStream()) {
                in.readAllBytes();
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
