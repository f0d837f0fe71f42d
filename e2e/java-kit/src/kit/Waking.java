package kit;

import static kit.Expect.that;

/**
 * How soon a message reaches a consumer that waits for it, from the send's answer on: what the disk takes until then is
 * the send's.
 */
public final class Waking {
    /** Far below what is left of every client's poll; the machine is busy. How fast it is, `apogee bench` tells. */
    private static final long LIMIT_MS = 3_000;

    private final long answeredNs = System.nanoTime();

    private Waking() {
    }

    /** Called when the send has been answered. */
    public static Waking begin() {
        return new Waking();
    }

    /** Called when the message is there. */
    public void end() {
        long waitedMs = (System.nanoTime() - answeredNs) / 1_000_000;
        that("woken " + waitedMs + " ms after the send's answer", waitedMs < LIMIT_MS);
    }
}
