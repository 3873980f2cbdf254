import java.util.concurrent.CompletableFuture;

/** What a hop does before it is answered. */
interface Shapes {
    /**
     * Completes, maybe at once, when the answer may leave.
     *
     * @throws IllegalArgumentException when there is no such shape
     */
    CompletableFuture<Void> run(String shape, Hop hop);
}
