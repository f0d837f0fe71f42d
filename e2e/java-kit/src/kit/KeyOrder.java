package kit;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Judges the order in which messages `key-number` are consumed. A message may come again, also after
 * later ones were consumed; none may come before all earlier ones of its key were.
 */
public final class KeyOrder {
    /** How many of each key are consumed. */
    private final Map<String, Integer> done = new HashMap<>();
    private final List<String> faults = new ArrayList<>();

    /** It was delivered, and is not consumed yet. */
    public synchronized void seen(String body) {
        int dash = body.lastIndexOf('-');
        String key = body.substring(0, dash);
        int number = Integer.parseInt(body.substring(dash + 1));
        int expected = done.getOrDefault(key, 0);
        if (number > expected) {
            faults.add(body + " came before " + key + "-" + expected);
        }
    }

    public synchronized void consumed(String body) {
        seen(body);
        int dash = body.lastIndexOf('-');
        int number = Integer.parseInt(body.substring(dash + 1));
        done.merge(body.substring(0, dash), number + 1, Math::max);
        notifyAll();
    }

    /** Waits until so many messages are consumed, each counted once. */
    public synchronized void await(int count, Duration patience) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (consumed() < count) {
            long leftMs = (end - System.nanoTime()) / 1_000_000;
            if (leftMs <= 0) {
                throw new AssertionError("consumed " + consumed() + " of " + count);
            }
            wait(leftMs);
        }
    }

    public synchronized List<String> faults() {
        return new ArrayList<>(faults);
    }

    /** Messages consumed, each counted once. */
    public synchronized int consumed() {
        return done.values().stream().mapToInt(Integer::intValue).sum();
    }
}
