package load;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;

/**
 * Messages at an even rate, from the moment when each was due until it was consumed in the same JVM. Whatever is late
 * counts: a sender that was held up has its delay in the times of all messages that were due meanwhile. The window
 * closes when every message is consumed that was due in it; a lost one keeps the run from succeeding.
 *
 * <pre>
 * body: number (4 bytes), due (8 bytes, System.nanoTime), anything
 * </pre>
 */
public final class Pacing {
    private static final long SECOND_NS = 1_000_000_000L;
    private static final long SETTLE_MS = 1_000;
    /** Messages beyond the plan that a slow answer of the harness may cost. */
    private static final int SLACK_S = 20;
    private static final long PATIENCE_MS = 90_000;
    private static final int DUE = 4;

    private final Meter meter;
    private final int rate;
    private final int warmRate;
    private final int size;
    private final long warmUpMs;
    private final long measureMs;
    private final AtomicIntegerArray seen;
    private final LongAdder consumed = new LongAdder();
    private volatile long end = Long.MAX_VALUE;
    private int sent;

    public Pacing(Options options, Meter meter) {
        this.meter = meter;
        rate = options.number("rate");
        warmRate = options.number("warm-up-rate");
        size = options.number("bytes");
        warmUpMs = options.number("warm-up-ms");
        measureMs = options.number("measure-ms");
        long seconds = (SETTLE_MS + measureMs) / 1_000 + SLACK_S;
        seen = new AtomicIntegerArray((int) (warmRate * warmUpMs / 1_000 + rate * seconds));
    }

    /** Begins to send one message. */
    public interface Send {
        void send(byte[] body) throws Exception;
    }

    /** A message was consumed, on whatever thread. */
    public void consumed(ByteBuffer body) {
        long due = body.getLong(body.position() + DUE);
        if (seen.getAndSet(Bodies.number(body), 1) == 0) {
            meter.tookSinceDue(due);
            consumed.increment();
        }
    }

    public void run(Send send) throws Exception {
        // The clients compile themselves at another rate; what that leaves behind is consumed before it counts.
        send(send, warmRate, System.nanoTime() + warmUpMs * 1_000_000);
        awaitConsumed();
        System.gc();
        Thread pacer = Sending.thread(() -> send(send, rate, 0));
        Thread.sleep(SETTLE_MS);
        meter.open();
        Thread.sleep(measureMs);
        end = System.nanoTime();
        pacer.join();
        awaitConsumed();
        meter.close();
        meter.report();
    }

    /** Sends until the given time, or, when that is 0, until the window's end. */
    private void send(Send send, int rate, long until) throws Exception {
        long start = System.nanoTime();
        for (long step = 0; ; step++) {
            long due = start + step * SECOND_NS / rate;
            for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
                LockSupport.parkNanos(left);
            }
            if (due >= (until == 0 ? end : until)) {
                return;
            }
            byte[] body = Bodies.numbered(sent++, size);
            ByteBuffer.wrap(body).putLong(DUE, due);
            send.send(body);
        }
    }

    private void awaitConsumed() throws InterruptedException {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (consumed.sum() < sent) {
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError("consumed " + consumed.sum() + " of " + sent);
            }
            Thread.sleep(1);
        }
    }
}
