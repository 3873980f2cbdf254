import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;

/**
 * The client, blocking and not; a second one that never has more than two connections; and a queue with two workers. The
 * blocking one is {@code HttpURLConnection}, if asked for.
 */
final class Calls {
    private record Job(String target, CompletableFuture<Integer> result) {}

    private final String next;
    private final boolean plain;
    private final HttpClient client = newClient();
    private final HttpClient narrow = newClient();
    // The JDK's client cannot bound its connections: as many permits do.
    private final Semaphore connections = new Semaphore(2);
    private final BlockingQueue<Job> jobs = new LinkedBlockingQueue<>();

    Calls(String next, boolean plain) {
        this.next = next;
        this.plain = plain;
        for (int i = 0; i < 2; i++) {
            var worker = new Thread(this::work, "worker-" + i);
            worker.setDaemon(true);
            worker.start();
        }
    }

    private static HttpClient newClient() {
        return HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    }

    private HttpRequest request(String target) {
        return HttpRequest.newBuilder(URI.create(next + target)).build();
    }

    /** Blocks until the body is read; returns the status. */
    int send(String target) throws IOException, InterruptedException {
        return send(client, target);
    }

    private int send(HttpClient by, String target) throws IOException, InterruptedException {
        return plain ? sendPlain(target) : by.send(request(target), BodyHandlers.ofString()).statusCode();
    }

    private int sendPlain(String target) throws IOException {
        var connection = (HttpURLConnection) new URL(next + target).openConnection(Proxy.NO_PROXY);
        int status = connection.getResponseCode();
        // What failed has its body elsewhere.
        try (var in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            in.readAllBytes();
        }
        return status;
    }

    /** Completes when the body is read, with the status. */
    CompletableFuture<Integer> sendAsync(String target) {
        return client.sendAsync(request(target), BodyHandlers.ofString()).thenApply(HttpResponse::statusCode);
    }

    /** As {@link #send}, after waiting for one of two connections. */
    int sendThroughPool(String target) throws IOException, InterruptedException {
        connections.acquire();
        try {
            return send(narrow, target);
        } finally {
            connections.release();
        }
    }

    /** Leaves the call to a long-lived worker. */
    CompletableFuture<Integer> enqueue(String target) {
        var job = new Job(target, new CompletableFuture<>());
        jobs.add(job);
        return job.result();
    }

    private void work() {
        try {
            while (true) {
                Job job = jobs.take();
                try {
                    job.result().complete(send(job.target()));
                } catch (IOException e) {
                    job.result().completeExceptionally(e);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
