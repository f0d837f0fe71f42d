package access;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;

/**
 * Makes one call for each line of the input and tells what it was answered. `-` in place of a user: unsigned; of a
 * target: none.
 *
 * <pre>
 * USER SECRET CALL TARGET   ->   ANSWER code text
 * </pre>
 */
final class Desk {
    static final String NONE = "-";

    /** What a call was answered; codes are the protocol's own. */
    record Answer(String code, String text) {
        Answer(int code, String text) {
            this(Integer.toString(code), text);
        }
    }

    interface Caller {
        /** As `user`, who is null for a call without a signature. */
        Answer call(String user, String secret, String what, String on) throws Exception;
    }

    private Desk() {
    }

    static void serve(Caller caller) throws IOException {
        PrintStream answers = System.out;
        // Libraries that print must not spoil the answers.
        System.setOut(System.err);
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            Answer answer = answer(caller, line.split(" "));
            answers.println("ANSWER " + answer.code() + " " + String.valueOf(answer.text()).replace('\n', ' '));
            answers.flush();
        }
    }

    private static Answer answer(Caller caller, String[] question) {
        String user = question[0].equals(NONE) ? null : question[0];
        try {
            return caller.call(user, question[1], question[2], question[3]);
        } catch (Exception failure) {
            failure.printStackTrace();
            return new Answer("none", failure.toString());
        }
    }
}
