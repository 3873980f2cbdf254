import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

/** For threads that cost nothing: everything waits where it is. */
final class BlockingShapes implements Shapes {
    private final Calls calls;
    private final ExecutorService executor;

    BlockingShapes(Calls calls, ExecutorService executor) {
        this.calls = calls;
        this.executor = executor;
    }

    @Override
    public CompletableFuture<Void> run(String shape, Hop hop) {
        try {
            block(shape, hop);
            return CompletableFuture.completedFuture(null);
        } catch (IllegalArgumentException e) {
            throw e;
        } catch (Exception e) {
            return CompletableFuture.failedFuture(e);
        }
    }

    private void block(String shape, Hop hop) throws Exception {
        switch (shape) {
            case "chain" -> calls.send(hop.chained());
            case "sequence" -> {
                for (int n = 1; n <= 3; n++) {
                    calls.send(hop.target(n));
                }
            }
            case "parallel" -> {
                List<Callable<Integer>> three =
                        List.of(() -> calls.send(hop.target(1)), () -> calls.send(hop.target(2)), () -> calls.send(hop.target(3)));
                for (Future<Integer> call : executor.invokeAll(three)) {
                    call.get();
                }
            }
            case "retry" -> {
                if (calls.send(hop.target(1, "fail=1&")) == 503) {
                    calls.send(hop.target(2));
                }
            }
            case "forget" -> executor.submit(() -> {
                hop.pause();
                return calls.send(hop.target(1));
            });
            case "pool" -> calls.sendThroughPool(hop.target(1));
            case "queue" -> calls.enqueue(hop.target(1)).get();
            case "timer" -> {
                hop.pause();
                calls.send(hop.target(1));
            }
            default -> throw new IllegalArgumentException("no such shape: " + shape);
        }
    }
}
