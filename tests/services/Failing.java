import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** `/w/N` fails with an exception that says `n=N` and has a cause, whose trace goes to standard error; other paths do
 * not, and log that. */
public final class Failing {
    static void deep(String n) {
        throw new IllegalStateException("n=" + n, new IOException("disk"));
    }

    static void handle(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        int status = 200;
        try {
            Thread.sleep(2);
            if (path.startsWith("/w/")) {
                deep(path.substring(3));
            }
            String n = path.substring(path.lastIndexOf('/') + 1);
            System.err.println("2026-11-30 09:12:17.512 WARN 12 --- [shop] fine n=" + n + " password=s3cret");
        } catch (Exception failure) {
            failure.printStackTrace();
            status = 500;
        }
        exchange.sendResponseHeaders(status, -1);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 64);
        server.setExecutor(Executors.newFixedThreadPool(32));
        server.createContext("/", Failing::handle);
        server.start();
    }
}
