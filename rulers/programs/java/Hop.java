import java.util.concurrent.TimeUnit;

/** One request's place in the tree; {@code delay} is in milliseconds. */
record Hop(String request, String name, int delay, int depth) {
    /** Path and query of the n-th call. */
    String target(int n) {
        return target(n, "");
    }

    /** Path and query of the n-th call, with further parameters, each followed by {@code &}. */
    String target(int n, String more) {
        return "/hop/" + request + "/" + name + "." + n + "?" + more + "delay=" + delay;
    }

    /** The only call of a chain. */
    String chained() {
        return depth >= 1 ? target(1, "shape=chain&depth=" + (depth - 1) + "&") : target(1);
    }

    /** Blocks for the delay. */
    void pause() throws InterruptedException {
        TimeUnit.MILLISECONDS.sleep(delay);
    }
}
