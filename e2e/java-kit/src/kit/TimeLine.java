package kit;

import static kit.Expect.equal;
import static kit.Expect.that;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import kit.Node.Step;

/** What the node is expected to tell of a message's life. */
public final class TimeLine {
    /** A consumer fails once and tells so. */
    public static final List<String> AGAIN = List.of("delivered", "failed", "retried", "delivered", "acked");
    /** A consumer fails once and tries again by itself. */
    public static final List<String> ONCE = List.of("delivered", "acked");
    public static final List<String> STORED = List.of("produced", "stored");
    public static final List<String> TIMED = List.of("produced", "scheduled", "fired", "stored");
    public static final List<String> COMMITTED = List.of("produced", "half_stored", "committed", "stored");

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private TimeLine() {
    }

    /** Steps before and in the group, in order of their times; returns those in the group. */
    public static List<Step> expect(String topic, String id, String group, List<String> before, List<String> after)
            throws Exception {
        List<String> expected = new ArrayList<>(before);
        expected.addAll(after);
        List<Step> life = Node.life(topic, id, expected.size(), PATIENCE);
        equal("steps of " + life, expected, life.stream().map(Step::name).toList());
        for (int next = 1; next < life.size(); next++) {
            that("not in order: " + life, life.get(next - 1).atMs() <= life.get(next).atMs());
        }
        List<Step> received = life.subList(before.size(), life.size());
        that("not of the group: " + life, received.stream().allMatch(step -> group.equals(step.group())));
        return received;
    }

    /** A consumer has failed, and got the message again no sooner than told. */
    public static void expectRetry(List<Step> received, long pauseMs) {
        List<Step> delivered = received.stream().filter(step -> step.name().equals("delivered")).toList();
        equal("attempts of " + received, List.of(1, 2), delivered.stream().map(Step::attempt).toList());
        long failedMs = received.stream().filter(step -> step.name().equals("failed")).findFirst().get().atMs();
        long passedMs = delivered.get(1).atMs() - failedMs;
        that("again after " + passedMs + " ms: " + received, passedMs >= pauseMs);
    }
}
