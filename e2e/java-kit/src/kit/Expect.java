package kit;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;

public final class Expect {
    private Expect() {
    }

    public static void equal(String what, Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    public static void that(String what, boolean holds) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    /** Each of these messages was delivered exactly once over all the inboxes. */
    public static void eachOnce(Collection<String> bodies, Inbox... inboxes) {
        for (String body : bodies) {
            int deliveries = 0;
            for (Inbox inbox : inboxes) {
                deliveries += inbox.deliveries().getOrDefault(body, 0);
            }
            equal("deliveries of " + body, 1, deliveries);
        }
    }

    /** Bodies `word-0` to `word-(count-1)`. */
    public static List<String> bodies(String word, int count) {
        List<String> bodies = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            bodies.add(word + "-" + number);
        }
        return bodies;
    }
}
