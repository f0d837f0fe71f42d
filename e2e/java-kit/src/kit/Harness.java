package kit;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/** The conversation with the harness that started us: cases, topics and groups, restarts of the server. */
public final class Harness {
    public static final String NAMESRV = System.getenv("NAMESRV");
    public static final String ENDPOINT = System.getenv("ENDPOINT");
    private static final String RUN_ID = System.getenv("RUN_ID");

    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in));
    private static final AtomicInteger NAMES = new AtomicInteger();

    private final Map<String, Case> cases = new LinkedHashMap<>();
    private final Set<String> alone = new HashSet<>();

    /** A case passes when it returns. */
    public interface Case {
        void play() throws Exception;
    }

    static {
        // What clients print belongs into the log.
        System.setOut(System.err);
    }

    /** A case may run beside others, unless its name says that it restarts the server. */
    public Harness add(String name, Case body) {
        cases.put(name, body);
        return this;
    }

    /** A case that others would disturb, or that would disturb others. */
    public Harness addAlone(String name, Case body) {
        alone.add(name);
        return add(name, body);
    }

    public void run() throws Exception {
        ExecutorService players = Executors.newFixedThreadPool(
            Integer.parseInt(System.getenv().getOrDefault("CASES_AT_ONCE", "1")));
        List<Future<?>> playing = new ArrayList<>();
        cases.forEach((name, body) -> {
            if (isWanted(name) && !isAlone(name)) {
                playing.add(players.submit(() -> play(name, body)));
            }
        });
        for (Future<?> played : playing) {
            played.get();
        }
        cases.forEach((name, body) -> {
            if (isWanted(name) && isAlone(name)) {
                play(name, body);
            }
        });
        say("DONE");
        // Clients leave threads behind.
        System.exit(0);
    }

    private static void play(String name, Case body) {
        say("CASE " + name);
        try {
            body.play();
            say("PASS " + name);
        } catch (Throwable failure) {
            failure.printStackTrace();
            say("FAIL " + name + " " + failure.toString().replace('\n', ' '));
        }
    }

    private boolean isAlone(String name) {
        return name.contains("restart") || alone.contains(name);
    }

    private static boolean isWanted(String name) {
        String filter = System.getenv().getOrDefault("CASE_FILTER", "");
        if (filter.isEmpty()) {
            return true;
        }
        for (String word : filter.split(",")) {
            if (name.contains(word)) {
                return true;
            }
        }
        return false;
    }

    /** A new topic of normal messages. */
    public static String topic(int queues) throws IOException {
        String name = unique("topic");
        operator("topic " + name + " NORMAL " + queues);
        return name;
    }

    /** A new group; options as the operator takes them. */
    public static String group(String... options) throws IOException {
        String name = unique("group");
        operator("group " + name + " " + String.join(" ", options));
        return name;
    }

    public static String unique(String word) {
        return word + "-" + RUN_ID + "-" + NAMES.incrementAndGet();
    }

    public static void operator(String command) throws IOException {
        ask("OPERATOR " + command, "OPERATED");
    }

    /** Something for whoever reads the report of the run. */
    public static void note(String text) {
        say("NOTE " + text);
    }

    public enum Restart { graceful, kill }

    /** Returns when the server is up again. */
    public static void restart(Restart how) throws IOException {
        ask("RESTART " + how, "RESTARTED");
    }

    private static synchronized void ask(String question, String expected) throws IOException {
        say(question);
        String answer = IN.readLine();
        if (!expected.equals(answer)) {
            throw new IOException(question + " was answered: " + answer);
        }
    }

    /** Waits for a line that the harness sends of its own accord. */
    public static void awaitOrder(String order) throws IOException {
        String line = IN.readLine();
        if (!order.equals(line)) {
            throw new IOException("expected " + order + ", got " + line);
        }
    }

    public static void say(String line) {
        synchronized (OUT) {
            OUT.println(line);
            OUT.flush();
        }
    }
}
