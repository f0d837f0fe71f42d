package kit;

import static kit.Expect.bodies;

import java.time.Duration;
import java.util.List;

/** Sends one body to the topic of a case, and returns when it is acknowledged. */
public interface Sender {
    void send(String body) throws Exception;

    default List<String> sendAll(String word, int count) throws Exception {
        List<String> bodies = bodies(word, count);
        for (String body : bodies) {
            send(body);
        }
        return bodies;
    }

    /** Sends waves until one of them reaches both inboxes: from then on both consumers take part. */
    default void awaitBalance(int waveSize, Duration patience, Inbox one, Inbox other) throws Exception {
        for (int wave = 0; wave < 200; wave++) {
            String word = "wave" + wave;
            Inbox.awaitBetween(sendAll(word, waveSize), patience, one, other);
            if (one.countOf(word) > 0 && other.countOf(word) > 0) {
                return;
            }
        }
        throw new AssertionError("the group never balanced");
    }
}
