package load;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** Threads that send for a warm-up, a measured window and not longer. Any failure ends the program. */
public final class Sending {
    private static final long END_PATIENCE_S = 60;

    private final Options options;
    private final Meter meter;

    public Sending(Options options, Meter meter) {
        this.options = options;
        this.meter = meter;
    }

    /** Sends once and returns how many messages that were. */
    public interface Call {
        int call() throws Exception;
    }

    /** Begins to send one message; {@code done} runs at its acknowledgement. */
    public interface Start {
        void start(Runnable done) throws Exception;
    }

    /** Sends one message of these bytes. */
    public interface Fill {
        void send(byte[] body, Runnable done) throws Exception;
    }

    public interface Step {
        void run() throws Exception;
    }

    /** Each thread waits for the answer to its call. */
    public void sync(Call call) throws Exception {
        repeat(() -> {
            long start = System.nanoTime();
            meter.took(start, call.call());
        });
    }

    /** Calls are under way up to the bound. */
    public void async(Start call) throws Exception {
        int bound = options.number("in-flight");
        Semaphore free = new Semaphore(bound);
        repeat(() -> {
            free.acquire();
            long start = System.nanoTime();
            call.start(() -> {
                meter.took(start, 1);
                free.release();
            });
        });
        awaitAll(free, bound);
    }

    /** The threads repeat the step from the warm-up to the end of the window. */
    public void repeat(Step step) throws Exception {
        repeat(step, () -> { }, () -> { });
    }

    /** The same, with a look at something at both ends of the window. */
    public void repeat(Step step, Step opening, Step closing) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int number = options.number("threads"); number > 0; number--) {
            threads.add(thread(() -> {
                while (!meter.isOver()) {
                    step.run();
                }
            }));
        }
        Thread.sleep(options.number("warm-up-ms"));
        opening.run();
        meter.open();
        Thread.sleep(options.number("measure-ms"));
        closing.run();
        meter.close();
        for (Thread thread : threads) {
            thread.join(TimeUnit.SECONDS.toMillis(END_PATIENCE_S));
            if (thread.isAlive()) {
                throw new AssertionError("a sending thread did not end");
            }
        }
    }

    /** Sends the numbered messages of a drain, without measuring. */
    public static void fill(int count, int size, int bound, Fill fill) throws Exception {
        Semaphore free = new Semaphore(bound);
        for (int number = 0; number < count; number++) {
            free.acquire();
            fill.send(Bodies.numbered(number, size), free::release);
        }
        awaitAll(free, bound);
    }

    /** Runs the step on several threads until each number below {@code count} was taken once. */
    public static void share(int threads, int count, int step, ShareStep work) throws Exception {
        AtomicInteger next = new AtomicInteger();
        List<Thread> running = new ArrayList<>();
        for (int thread = 0; thread < threads; thread++) {
            running.add(thread(() -> {
                for (int from = next.getAndAdd(step); from < count; from = next.getAndAdd(step)) {
                    work.run(from, Math.min(count, from + step));
                }
            }));
        }
        for (Thread thread : running) {
            thread.join();
        }
    }

    /** Handles the numbers from the first up to, but without, the second. */
    public interface ShareStep {
        void run(int from, int to) throws Exception;
    }

    public static Thread thread(Step body) {
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } catch (Throwable failure) {
                Harness.fail(failure);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static void awaitAll(Semaphore free, int bound) throws InterruptedException {
        if (!free.tryAcquire(bound, END_PATIENCE_S, TimeUnit.SECONDS)) {
            throw new AssertionError((bound - free.availablePermits()) + " sends were never answered");
        }
    }
}
