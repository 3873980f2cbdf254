import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URL;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/** Tomcat, whose workers read without waiting; each calls the next service with timeouts, and waits for that in poll. */
public class Billing {
    public static void main(String[] args) throws Exception {
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(args[2]);
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(Integer.parseInt(args[0]));
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", args[2]);
        Tomcat.addServlet(context, "billing", new HttpServlet() {
            @Override
            protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
                byte[] body = call(args[1] + next(request.getRequestURI()));
                response.setContentLength(body.length);
                response.getOutputStream().write(body);
            }
        });
        context.addServletMappingDecoded("/", "billing");
        tomcat.start();
        tomcat.getServer().await();
    }

    private static String next(String path) {
        int slash = path.lastIndexOf('/');
        return path.substring(0, slash + 1) + (Integer.parseInt(path.substring(slash + 1)) + 1);
    }

    private static byte[] call(String url) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection(Proxy.NO_PROXY);
        connection.setConnectTimeout(5000);
        connection.setReadTimeout(5000);
        try (var in = connection.getInputStream()) {
            return in.readAllBytes();
        }
    }
}
