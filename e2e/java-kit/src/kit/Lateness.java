package kit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** By how much messages came after the time that they were due at, in milliseconds. */
public final class Lateness {
    private static final long LATE_MAX_MS = 30_000;

    private final List<Long> all = new ArrayList<>();

    public synchronized void add(long dueMs, long atMs) {
        all.add(atMs - dueMs);
    }

    /**
     * None was early, half of them were not later than the limit, and none was half a minute late. A flush of a busy disk
     * that takes seconds makes all late that are due meanwhile: the tail is a matter of measurement
     * ({@code apogee bench -m timers}), not of this check. Prints the figures into the log.
     */
    public synchronized void expect(String what, long limitMs) {
        List<Long> sorted = new ArrayList<>(all);
        Collections.sort(sorted);
        long late = at(sorted, 0.95);
        long middle = sorted.get(sorted.size() / 2);
        long last = sorted.get(sorted.size() - 1);
        System.err.println("LATENESS " + what + ": " + sorted.size() + " messages, first " + sorted.get(0)
            + " ms, median " + middle + " ms, p95 " + late + " ms, p99.9 " + at(sorted, 0.999) + " ms, last " + last + " ms");
        Expect.that(what + ": one came " + -sorted.get(0) + " ms early", sorted.get(0) >= 0);
        Expect.that(what + ": the median is " + middle + " ms, allowed are " + limitMs, middle < limitMs);
        Expect.that(what + ": one came " + last + " ms late", last < LATE_MAX_MS);
    }

    private static long at(List<Long> sorted, double part) {
        return sorted.get(Math.max(0, (int) Math.ceil(sorted.size() * part) - 1));
    }
}
