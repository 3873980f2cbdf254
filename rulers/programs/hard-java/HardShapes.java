import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;

/** What a hop does in `Hard`. See ../README.md. */
final class HardShapes {
    record Hop(String request, String name, int delay) {
        /** Of the n-th call. */
        String target(int n) {
            return "/hop/" + request + "/" + name + "." + n + "?delay=" + delay;
        }
    }

    /** Work that is nobody's in particular. */
    private static final String NOBODYS = "/hop/0/b?delay=2";
    private static final String[] MIXED = {
        "shared", "semaphore", "token", "timed", "sized", "barrier", "refresh", "prefetch", "shrinking", "lazy", "after", "other", "handon"
    };

    private final String next;
    private final ExecutorService pool;
    private final ScheduledExecutorService later = Executors.newScheduledThreadPool(2);
    private final ExecutorService background = Executors.newFixedThreadPool(2);
    // Grows when nobody is idle, and shrinks soon.
    private final ThreadPoolExecutor shrinking = new ThreadPoolExecutor(0, 64, 5, TimeUnit.MILLISECONDS, new SynchronousQueue<>(), new ThreadPoolExecutor.CallerRunsPolicy());
    // Begins to be when it is needed first.
    private final ThreadPoolExecutor lazy = new ThreadPoolExecutor(4, 4, 1, TimeUnit.HOURS, new LinkedBlockingQueue<>());
    private final Semaphore permits = new Semaphore(2);
    private final Semaphore stale = new Semaphore(0);
    private final CyclicBarrier barrier = new CyclicBarrier(2);
    private CompletableFuture<Integer> shared;
    private CompletableFuture<Integer> token;
    private int tokenUses;
    private List<CompletableFuture<Integer>> timed = new ArrayList<>();
    private List<CompletableFuture<Integer>> sized = new ArrayList<>();

    HardShapes(String next, ExecutorService pool) {
        this.next = next;
        this.pool = pool;
        var refresher = new Thread(this::refresh, "refresher");
        refresher.setDaemon(true);
        refresher.start();
    }

    /** Of all requests that found something stale since the last time, and of none. */
    private void refresh() {
        try {
            while (true) {
                stale.acquire();
                Thread.sleep(20);
                stale.drainPermits();
                call(NOBODYS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private int call(String target) {
        try {
            var connection = (HttpURLConnection) new URL(next + target).openConnection(Proxy.NO_PROXY);
            try (var in = connection.getInputStream()) {
                in.readAllBytes();
            }
            return connection.getResponseCode();
        } catch (IOException e) {
            return 502;
        }
    }

    void run(String shape, Hop hop, IntConsumer answer) {
        switch (shape) {
            case "mix" -> run(MIXED[Integer.parseInt(hop.request()) % MIXED.length], hop, answer);
            case "after" -> {
                answer.accept(200);
                later.schedule(() -> pool.execute(() -> call(hop.target(1))), hop.delay() / 4, TimeUnit.MILLISECONDS);
            }
            case "other" -> later.schedule(() -> pool.execute(() -> answer.accept(call(hop.target(1)))), hop.delay() / 4, TimeUnit.MILLISECONDS);
            case "handon" -> {
                if (Integer.parseInt(hop.request()) % 2 == 0) {
                    run("other", hop, answer);
                } else {
                    run("after", hop, answer);
                }
            }
            default -> answer.accept(blocking(shape, hop));
        }
    }

    private int blocking(String shape, Hop hop) {
        try {
            return switch (shape) {
                case "shared" -> shared(hop);
                case "semaphore" -> {
                    permits.acquire();
                    try {
                        yield call(hop.target(1));
                    } finally {
                        permits.release();
                    }
                }
                case "token" -> token(hop);
                case "timed" -> timed(hop).get();
                case "sized" -> sized(hop);
                case "barrier" -> {
                    try {
                        barrier.await(20, TimeUnit.MILLISECONDS);
                    } catch (java.util.concurrent.TimeoutException | java.util.concurrent.BrokenBarrierException e) {
                        barrier.reset();
                    }
                    yield call(hop.target(1));
                }
                case "refresh" -> {
                    stale.release();
                    yield call(hop.target(1));
                }
                case "prefetch" -> {
                    int status = call(hop.target(1));
                    background.execute(() -> call(hop.target(2)));
                    yield status;
                }
                case "shrinking" -> on(shrinking, () -> call(hop.target(1)));
                case "lazy" -> on(lazy, () -> call(hop.target(1)));
                default -> throw new IllegalArgumentException(shape);
            };
        } catch (InterruptedException | java.util.concurrent.ExecutionException e) {
            return 502;
        }
    }

    private static int on(ExecutorService executor, Callable<Integer> job) throws InterruptedException, java.util.concurrent.ExecutionException {
        return executor.submit(job).get();
    }

    /** One request calls, and those that come meanwhile take what it got. */
    private int shared(Hop hop) throws InterruptedException, java.util.concurrent.ExecutionException {
        CompletableFuture<Integer> mine = new CompletableFuture<>();
        CompletableFuture<Integer> found;
        synchronized (this) {
            found = shared;
            if (found == null) {
                shared = mine;
            }
        }
        if (found != null) {
            return found.get();
        }
        int status = call(hop.target(1));
        synchronized (this) {
            shared = null;
        }
        mine.complete(status);
        return status;
    }

    /** Every tenth use needs a new token: who finds that fetches it, the others wait; then each calls. */
    private int token(Hop hop) throws InterruptedException, java.util.concurrent.ExecutionException {
        CompletableFuture<Integer> mine = null;
        CompletableFuture<Integer> wanted;
        synchronized (this) {
            if (token == null || tokenUses++ % 10 == 0) {
                token = mine = new CompletableFuture<>();
            }
            wanted = token;
        }
        if (mine != null) {
            mine.complete(call(hop.target(1)));
        }
        wanted.get();
        return call(hop.target(2));
    }

    /** What comes within ten milliseconds is asked for together, by the timer of who came first. */
    private synchronized CompletableFuture<Integer> timed(Hop hop) {
        var result = new CompletableFuture<Integer>();
        if (timed.isEmpty()) {
            later.schedule(() -> {
                List<CompletableFuture<Integer>> all;
                synchronized (this) {
                    all = timed;
                    timed = new ArrayList<>();
                }
                int status = call(hop.target(1));
                all.forEach(one -> one.complete(status));
            }, 10, TimeUnit.MILLISECONDS);
        }
        timed.add(result);
        return result;
    }

    /** Who makes it four asks for all; who waits for long asks for itself. */
    private int sized(Hop hop) throws InterruptedException, java.util.concurrent.ExecutionException {
        var result = new CompletableFuture<Integer>();
        List<CompletableFuture<Integer>> full = null;
        synchronized (this) {
            sized.add(result);
            if (sized.size() == 4) {
                full = sized;
                sized = new ArrayList<>();
            }
        }
        if (full != null) {
            int status = call(hop.target(1));
            full.forEach(one -> one.complete(status));
            return status;
        }
        try {
            return result.get(60, TimeUnit.MILLISECONDS);
        } catch (java.util.concurrent.TimeoutException e) {
            synchronized (this) {
                sized.remove(result);
            }
            return call(hop.target(1));
        }
    }
}
