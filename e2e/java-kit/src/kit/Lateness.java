package kit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** By how much messages came after the time that they were due at, in milliseconds. */
public final class Lateness {
    private final List<Long> all = new ArrayList<>();

    public synchronized void add(long dueMs, long atMs) {
        all.add(atMs - dueMs);
    }

    /** None was early, and of a thousand at most one was later than the limit. Prints the figures into the log. */
    public synchronized void expect(String what, long limitMs) {
        List<Long> sorted = new ArrayList<>(all);
        Collections.sort(sorted);
        long late = sorted.get(Math.max(0, (int) Math.ceil(sorted.size() * 0.999) - 1));
        long middle = sorted.get(sorted.size() / 2);
        System.err.println("LATENESS " + what + ": " + sorted.size() + " messages, first " + sorted.get(0)
            + " ms, median " + middle + " ms, p99.9 " + late + " ms, last " + sorted.get(sorted.size() - 1) + " ms");
        Expect.that(what + ": one came " + -sorted.get(0) + " ms early", sorted.get(0) >= 0);
        Expect.that(what + ": p99.9 is " + late + " ms, allowed are " + limitMs, late < limitMs);
    }
}
