import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URL;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The JDK's own HTTP server with a virtual thread for each request. Each calls twice, and lets others run on its carrier in between.
 */
public class Virtual {
    private static String downstream;

    public static void main(String[] args) throws Exception {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        downstream = args[1];
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 1024);
        server.createContext("/", Virtual::handle);
        // By name, because the compiler at hand may be older.
        server.setExecutor((ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null));
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        String[] path = exchange.getRequestURI().getPath().split("/");
        try {
            for (int n = 1; n <= 2; n++) {
                call(path[2], n);
                Thread.sleep(2);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        exchange.sendResponseHeaders(200, 3);
        exchange.getResponseBody().write("ok\n".getBytes());
        exchange.close();
    }

    private static void call(String request, int n) throws IOException {
        URL url = new URL(downstream + "/hop/" + request + "/" + n);
        try (var in = ((HttpURLConnection) url.openConnection(Proxy.NO_PROXY)).getInputStream()) {
            in.readAllBytes();
        }
    }
}
