import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** For threads of a pool: they are given back while calls are under way, save where code in sequence reads better. */
final class AsyncShapes implements Shapes {
    private final Calls calls;
    private final ExecutorService executor;

    AsyncShapes(Calls calls, ExecutorService executor) {
        this.calls = calls;
        this.executor = executor;
    }

    @Override
    public CompletableFuture<Void> run(String shape, Hop hop) {
        return switch (shape) {
            case "chain" -> done(calls.sendAsync(hop.chained()));
            case "sequence" -> blocking(() -> {
                for (int n = 1; n <= 3; n++) {
                    calls.send(hop.target(n));
                }
            });
            case "parallel" -> CompletableFuture.allOf(
                    calls.sendAsync(hop.target(1)), calls.sendAsync(hop.target(2)), calls.sendAsync(hop.target(3)));
            case "retry" -> blocking(() -> {
                if (calls.send(hop.target(1, "fail=1&")) == 503) {
                    calls.send(hop.target(2));
                }
            });
            case "forget" -> {
                afterDelay(hop).execute(() -> calls.sendAsync(hop.target(1)));
                yield CompletableFuture.completedFuture(null);
            }
            case "pool" -> blocking(() -> calls.sendThroughPool(hop.target(1)));
            case "queue" -> done(calls.enqueue(hop.target(1)));
            case "timer" ->
                CompletableFuture.supplyAsync(() -> hop.target(1), afterDelay(hop)).thenCompose(target -> done(calls.sendAsync(target)));
            default -> throw new IllegalArgumentException("no such shape: " + shape);
        };
    }

    private Executor afterDelay(Hop hop) {
        return CompletableFuture.delayedExecutor(hop.delay(), TimeUnit.MILLISECONDS, executor);
    }

    private static CompletableFuture<Void> done(CompletableFuture<Integer> call) {
        return call.thenAccept(status -> {});
    }

    private interface Block {
        void run() throws IOException, InterruptedException;
    }

    private static CompletableFuture<Void> blocking(Block block) {
        try {
            block.run();
            return CompletableFuture.completedFuture(null);
        } catch (IOException e) {
            return CompletableFuture.failedFuture(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return CompletableFuture.failedFuture(e);
        }
    }
}
