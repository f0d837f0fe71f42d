package load;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;

/**
 * The conversation with the harness. It measures the server between OPEN and CLOSE, and answers each as soon as it
 * has read the server's counters:
 *
 * <pre>
 * OPEN -> OPENED ... CLOSE -> CLOSED, RESULT {json}
 * STEP queues stored readable refused the last refusal      readable: queues of the last topic
 * FAILED reason
 * </pre>
 */
public final class Harness {
    private static final PrintStream OUT = System.out;
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in));

    static {
        // What clients print belongs into the log.
        System.setOut(System.err);
    }

    private Harness() {
    }

    static void open() {
        ask("OPEN", "OPENED");
    }

    static void close() {
        ask("CLOSE", "CLOSED");
    }

    static void result(String json) {
        say("RESULT " + json);
    }

    /** How far it is; the harness looks at the server before the program goes on. */
    public static void step(long queues, long stored, long readable, long refused, String refusal) {
        ask("STEP " + queues + " " + stored + " " + readable + " " + refused + " " + refusal, "STEPPED");
    }

    /** Ends the program, from whatever thread. */
    public static void fail(Throwable failure) {
        failure.printStackTrace();
        say("FAILED " + failure.toString().replace('\n', ' '));
        Runtime.getRuntime().halt(1);
    }

    /** Ends the program without a farewell of its clients, whose open polls would hold it for long. */
    public static void end() {
        Runtime.getRuntime().halt(0);
    }

    private static synchronized void ask(String question, String expected) {
        try {
            say(question);
            String answer = IN.readLine();
            if (!expected.equals(answer)) {
                throw new IOException(question + " was answered: " + answer);
            }
        } catch (IOException failed) {
            fail(failed);
        }
    }

    private static void say(String line) {
        synchronized (OUT) {
            OUT.println(line);
            OUT.flush();
        }
    }
}
