import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URL;
import java.util.concurrent.Executors;

/** The JDK's own HTTP server on a thread pool of its own; calls the next service from the thread that answers. */
public class Payments {
    public static void main(String[] args) throws IOException {
        String downstream = args.length > 1 ? args[1] : null;
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.createContext("/", exchange -> answer(exchange, downstream));
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    private static void answer(HttpExchange exchange, String downstream) throws IOException {
        String path = exchange.getRequestURI().getPath();
        byte[] body = downstream == null ? (path + "\n").getBytes() : call(downstream + next(path));
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    private static String next(String path) {
        int slash = path.lastIndexOf('/');
        return path.substring(0, slash + 1) + (Integer.parseInt(path.substring(slash + 1)) + 1);
    }

    private static byte[] call(String url) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection(Proxy.NO_PROXY);
        try (var in = connection.getInputStream()) {
            return in.readAllBytes();
        }
    }
}
