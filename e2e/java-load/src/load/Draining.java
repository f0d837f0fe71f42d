package load;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * Messages that were sent before are consumed. The first tenth is the warm-up; the window closes with the last one.
 * Messages are numbered: what comes twice counts once, what is lost keeps the run from succeeding.
 */
public final class Draining {
    private static final long PATIENCE_S = 150;

    private final Meter meter;
    private final int count;
    private final int weight;
    private final int warmUp;
    private final AtomicIntegerArray seen;
    private final AtomicInteger done = new AtomicInteger();
    private final CountDownLatch warm = new CountDownLatch(1);
    private final CountDownLatch all = new CountDownLatch(1);

    public Draining(Meter meter, int count) {
        this(meter, count, 1);
    }

    /** {@code weight}: for how many messages of the result each consumed one stands. */
    public Draining(Meter meter, int count, int weight) {
        this.meter = meter;
        this.count = count;
        this.weight = weight;
        warmUp = count / 10;
        seen = new AtomicIntegerArray(count);
    }

    /** A message was consumed, on whatever thread. */
    public void consumed(int number) {
        if (seen.getAndSet(number, 1) != 0) {
            return;
        }
        int position = done.incrementAndGet();
        if (position == warmUp) {
            meter.open();
            warm.countDown();
        } else if (position > warmUp) {
            awaitWarm();
            meter.count(1);
        }
        if (position == count) {
            meter.close();
            all.countDown();
        }
    }

    public boolean isOver() {
        return all.getCount() == 0;
    }

    public void await() throws InterruptedException {
        if (!all.await(PATIENCE_S, TimeUnit.SECONDS)) {
            throw new AssertionError("consumed " + done.get() + " of " + count + " within " + PATIENCE_S + " s");
        }
        // Those that were counted while the window closed belong to it.
        meter.report((long) (count - warmUp) * weight);
    }

    private void awaitWarm() {
        try {
            warm.await();
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }
}
