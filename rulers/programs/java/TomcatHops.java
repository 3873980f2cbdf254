import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/** Tomcat on 16 threads, whose servlets block. STACK_MODE is as for {@code Hops}. */
public final class TomcatHops {
    private static final String THREADS = "16";

    public static void main(String[] args) throws Exception {
        var calls = new Calls(System.getenv("NEXT"), System.getenv("STACK_MODE").endsWith("-url"));
        var shapes = new BlockingShapes(calls, Executors.newCachedThreadPool());
        String base = Files.createTempDirectory("tomcat").toString();
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(base);
        tomcat.setHostname("127.0.0.1");
        tomcat.setPort(Integer.parseInt(System.getenv("PORT")));
        var connector = tomcat.getConnector();
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("maxThreads", THREADS);
        connector.setProperty("acceptCount", "1024");
        connector.setProperty("maxKeepAliveRequests", "-1");
        Context context = tomcat.addContext("", base);
        Tomcat.addServlet(context, "hops", new Hops(shapes));
        context.addServletMappingDecoded("/", "hops");
        tomcat.start();
        tomcat.getServer().await();
    }

    private static final class Hops extends HttpServlet {
        private final transient Shapes shapes;

        Hops(Shapes shapes) {
            this.shapes = shapes;
        }

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            String[] path = request.getRequestURI().split("/");
            if (path.length != 4) {
                answer(response, 200, "ready");
                return;
            }
            var hop = new Hop(path[2], path[3], number(request, "delay"), number(request, "depth"));
            String shape = request.getParameter("shape");
            try {
                shapes.run(shape == null ? "" : shape, hop).get();
                answer(response, 200, "hop " + hop.name());
            } catch (IllegalArgumentException e) {
                answer(response, 404, e.getMessage());
            } catch (ExecutionException e) {
                answer(response, 502, e.toString());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private static int number(HttpServletRequest request, String name) {
            String text = request.getParameter(name);
            return text == null ? 0 : Integer.parseInt(text);
        }

        private static void answer(HttpServletResponse response, int status, String text) throws IOException {
            byte[] body = (text + "\n").getBytes();
            response.setStatus(status);
            response.setContentType("text/plain");
            response.setContentLength(body.length);
            response.getOutputStream().write(body);
        }
    }
}
