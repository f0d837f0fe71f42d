package kit;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** Where received messages are put by listeners and awaited by cases. */
public final class Inbox {
    private final List<Letter> letters = new ArrayList<>();

    public synchronized void put(Letter letter) {
        letters.add(letter);
        notifyAll();
    }

    public synchronized List<Letter> letters() {
        return new ArrayList<>(letters);
    }

    public synchronized int count(Predicate<Letter> which) {
        return (int) letters.stream().filter(which).count();
    }

    /** Messages whose body is `word-number`. */
    public int countOf(String word) {
        return count(letter -> letter.body().startsWith(word + "-"));
    }

    public synchronized List<Letter> await(int count, Duration patience) throws InterruptedException {
        awaitThat(count + " messages", patience, () -> letters.size() >= count);
        return letters();
    }

    /** Waits until each of these bodies was received at least once. */
    public synchronized void awaitBodies(Collection<String> bodies, Duration patience) throws InterruptedException {
        Set<String> expected = new HashSet<>(bodies);
        awaitThat("all of " + bodies.size() + " messages", patience, () -> missing(expected).isEmpty());
    }

    /** Waits until each of these bodies was received by one of the inboxes. */
    public static void awaitBetween(Collection<String> bodies, Duration patience, Inbox one, Inbox other)
            throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (true) {
            Set<String> missing = one.missing(other.missing(new HashSet<>(bodies)));
            if (missing.isEmpty()) {
                return;
            }
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + patience.toSeconds() + " s: " + missing);
            }
            // Either inbox may be the one that moves: look at both a few times a second.
            one.pause(20);
        }
    }

    private synchronized void pause(long milliseconds) throws InterruptedException {
        wait(milliseconds);
    }

    /** Asserts that nothing arrives for a while. */
    public synchronized void expectSilence(Duration duration) throws InterruptedException {
        int before = letters.size();
        long end = System.nanoTime() + duration.toNanos();
        for (long left = duration.toNanos(); left > 0; left = end - System.nanoTime()) {
            wait(left / 1_000_000 + 1);
            if (letters.size() > before) {
                throw new AssertionError("unexpected: " + letters.get(before));
            }
        }
    }

    /** How often each body was received. */
    public synchronized Map<String, Integer> deliveries() {
        Map<String, Integer> counts = new HashMap<>();
        letters.forEach(letter -> counts.merge(letter.body(), 1, Integer::sum));
        return counts;
    }

    private synchronized Set<String> missing(Set<String> expected) {
        Set<String> missing = new HashSet<>(expected);
        letters.forEach(letter -> missing.remove(letter.body()));
        return missing;
    }

    private interface Condition {
        boolean holds();
    }

    private void awaitThat(String what, Duration patience, Condition condition) throws InterruptedException {
        long end = System.nanoTime() + patience.toNanos();
        while (!condition.holds()) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                throw new AssertionError("not within " + patience.toSeconds() + " s: " + what
                    + "; there are " + letters.size());
            }
            wait(left / 1_000_000 + 1);
        }
    }
}
