package remoting;

import kit.Harness;

/** The 4.x remoting client; `src-4` and `src-5` hold what only one of the two versions has. */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("kill")) {
            KillLoop.run();
            return;
        }
        if (arguments[0].equals("kill-transactions")) {
            KillTransactions.run();
            return;
        }
        Harness harness = new Harness();
        Sending.addTo(harness);
        Consuming.addTo(harness);
        Sharing.addTo(harness);
        Pulling.addTo(harness);
        Modes.addTo(harness);
        Transactions.addTo(harness);
        Version.addTo(harness);
        Filtering.addTo(harness);
        Ordering.addTo(harness);
        Timing.addTo(harness);
        Lives.addTo(harness);
        Refused.addTo(harness);
        Restarting.addTo(harness);
        harness.run();
    }
}
