package load;

import java.util.Locale;
import java.util.concurrent.atomic.LongAdder;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.Recorder;

/** Counts messages and times calls while the window is open; before and after it they are ignored. */
public final class Meter {
    private enum Phase { before, open, after }

    private final String name;
    private final Recorder recorder = new Recorder(3);
    private final LongAdder messages = new LongAdder();
    private volatile Phase phase = Phase.before;
    private long opened;
    private double seconds;

    public Meter(String name) {
        this.name = name;
    }

    public void open() {
        Harness.open();
        opened = System.nanoTime();
        phase = Phase.open;
    }

    public void close() {
        seconds = (System.nanoTime() - opened) / 1e9;
        phase = Phase.after;
        Harness.close();
    }

    public boolean isOver() {
        return phase == Phase.after;
    }

    public void count(int done) {
        if (phase == Phase.open) {
            messages.add(done);
        }
    }

    /** One call that is done, and the messages that it carried. */
    public void took(long start, int done) {
        if (phase == Phase.open) {
            messages.add(done);
            recorder.recordValue((System.nanoTime() - start) / 1_000);
        }
    }

    /** One message that is through, if it was due in the window. */
    public void tookSinceDue(long due) {
        if (phase == Phase.open && due >= opened) {
            took(due, 1);
        }
    }

    /** A call whose messages are counted elsewhere. */
    public void took(long start) {
        took(start, 0);
    }

    public void report() {
        report(messages.sum());
    }

    public void report(long done) {
        Histogram times = recorder.getIntervalHistogram();
        String quantiles = times.getTotalCount() == 0 ? "" : String.format(Locale.ROOT,
            ",\"p50_us\":%d,\"p99_us\":%d,\"p999_us\":%d",
            times.getValueAtPercentile(50), times.getValueAtPercentile(99), times.getValueAtPercentile(99.9));
        Harness.result(String.format(Locale.ROOT,
            "{\"case\":\"%s\",\"messages\":%d,\"seconds\":%.6f%s}", name, done, seconds, quantiles));
    }
}
