package remoting;

import load.Harness;
import load.Meter;
import load.Options;

/** Load through the 4.x protocol. */
public final class Main {
    private Main() {
    }

    public static void main(String[] arguments) {
        try {
            Options options = new Options(arguments);
            if (options.work.equals("many-queues")) {
                new ManyQueues(options).run();
            } else {
                run(options, new Meter(options.text("case")));
            }
            Harness.end();
        } catch (Throwable failure) {
            Harness.fail(failure);
        }
    }

    private static void run(Options options, Meter meter) throws Exception {
        switch (options.work) {
            case "sync" -> new Sends(options, meter).sync();
            case "async" -> new Sends(options, meter).async();
            case "oneway" -> new Sends(options, meter).oneway();
            case "batch" -> new Sends(options, meter).batch();
            case "ordered" -> new Sends(options, meter).ordered();
            case "transactions" -> new Transactions(options, meter).run();
            case "push-drain" -> new Drains(options, meter).push();
            case "pop-drain" -> new Drains(options, meter).pop();
            case "lite-pull-drain" -> new Drains(options, meter).litePull();
            case "orderly-drain" -> new Drains(options, meter).orderly();
            case "sql-drain" -> new Drains(options, meter).sql();
            case "fan-out" -> new Drains(options, meter).fanOut();
            case "end-to-end" -> new EndToEnd(options, meter).run();
            default -> throw new IllegalArgumentException("no such work: " + options.work);
        }
    }
}
