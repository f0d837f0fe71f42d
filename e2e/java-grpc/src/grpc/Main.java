package grpc;

import kit.Harness;

/** The 5.x gRPC client, with TLS as it is by default. */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        Harness harness = new Harness();
        Sending.addTo(harness);
        Consuming.addTo(harness);
        Failing.addTo(harness);
        Sharing.addTo(harness);
        Filtering.addTo(harness);
        Ordering.addTo(harness);
        Transactions.addTo(harness);
        Timing.addTo(harness);
        Lite.addTo(harness);
        Measuring.addTo(harness);
        Lives.addTo(harness);
        Refused.addTo(harness);
        Restarting.addTo(harness);
        harness.run();
    }
}
