package remoting;

import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import kit.Harness;
import kit.Inbox;
import kit.Sequence;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Numbered messages without end, sent and consumed until the harness says stop. */
final class KillLoop {
    private static final int PRODUCERS = 2;
    private static final int CONSUMERS = 2;

    private KillLoop() {
    }

    static void run() throws Exception {
        String topic = Harness.topic(4);
        String group = Harness.group("retries=1000");
        for (int number = 0; number < CONSUMERS; number++) {
            Clients.consumer(group, topic, "*", new Inbox(), letter -> {
                Sequence.report(letter.body());
                return true;
            });
        }
        AtomicBoolean stopped = new AtomicBoolean();
        Thread[] senders = new Thread[PRODUCERS];
        for (int number = 0; number < PRODUCERS; number++) {
            String name = "java-" + number;
            DefaultMQProducer producer = producer();
            senders[number] = new Thread(() -> send(producer, topic, name, stopped));
            senders[number].start();
        }
        Harness.awaitOrder("STOP");
        stopped.set(true);
        for (Thread sender : senders) {
            sender.join();
        }
        Harness.say("STOPPED");
        // Consumers go on until the harness ends the process.
        Thread.currentThread().join();
    }

    private static void send(DefaultMQProducer producer, String topic, String name, AtomicBoolean stopped) {
        long pauseNanos = 1_000_000_000L / Integer.parseInt(System.getenv("RATE"));
        for (long sequence = 0; !stopped.get(); sequence++) {
            try {
                producer.send(message(topic, Sequence.body(name, sequence)));
                Harness.say("ACKED " + name + " " + sequence);
            } catch (Exception unacknowledged) {
                // The outcome is open: it may be stored or not.
            }
            LockSupport.parkNanos(pauseNanos);
        }
    }
}
