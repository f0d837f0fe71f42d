package kit;

import static kit.Expect.that;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** Sends on and on in a thread of its own, and remembers what was acknowledged. */
public final class SteadySender {
    private static final long PAUSE_NANOS = 2_000_000;

    private final List<String> acknowledged = new CopyOnWriteArrayList<>();
    private final Thread thread;
    private volatile boolean stopped;
    private volatile CountDownLatch awaited = new CountDownLatch(0);

    public SteadySender(Sender sender) {
        thread = new Thread(() -> sendUntilStopped(sender));
        thread.start();
    }

    private void sendUntilStopped(Sender sender) {
        for (int number = 0; !stopped; number++) {
            String body = "steady-" + number;
            try {
                sender.send(body);
                acknowledged.add(body);
                awaited.countDown();
            } catch (Exception unacknowledged) {
                // No promise was given; the next one may do better.
            }
            LockSupport.parkNanos(PAUSE_NANOS);
        }
    }

    public void awaitMore(int count, Duration patience) throws InterruptedException {
        CountDownLatch latch = new CountDownLatch(count);
        awaited = latch;
        that(count + " more acknowledged sends", latch.await(patience.toSeconds(), TimeUnit.SECONDS));
    }

    /** Ends the sending; returns what was acknowledged. */
    public List<String> stop() throws InterruptedException {
        stopped = true;
        thread.join();
        return acknowledged;
    }
}
