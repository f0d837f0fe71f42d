package remoting;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import load.Bodies;
import load.Harness;
import load.Meter;
import load.Options;
import load.Sending;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Sends for a time. */
final class Sends {
    private final Options options;
    private final Meter meter;
    private final int bytes;
    private final DefaultMQProducer producer = Clients.producer("producer");

    Sends(Options options, Meter meter) throws Exception {
        this.options = options;
        this.meter = meter;
        bytes = options.number("bytes");
    }

    void sync() throws Exception {
        new Sending(options, meter).sync(() -> {
            Clients.stored(producer.send(message()));
            return 1;
        });
        meter.report();
    }

    void async() throws Exception {
        new Sending(options, meter).async(done -> producer.send(message(), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                Clients.stored(result);
                done.run();
            }

            @Override
            public void onException(Throwable failure) {
                Harness.fail(failure);
            }
        }));
        meter.report();
    }

    void batch() throws Exception {
        int size = options.number("batch");
        new Sending(options, meter).sync(() -> {
            Clients.stored(producer.send(batch(size)));
            return size;
        });
        meter.report();
    }

    /** Each message into the queue of its order. */
    void ordered() throws Exception {
        new Sending(options, meter).sync(() -> {
            int order = ThreadLocalRandom.current().nextInt(options.number("orders"));
            Clients.stored(producer.send(message(),
                (queues, message, key) -> queues.get((int) key % queues.size()), order));
            return 1;
        });
        meter.report();
    }

    /**
     * Nobody acknowledges these: what counts is what the server has stored between the ends of the window. After each
     * burst one message is sent and awaited: the client takes its permits for oneway calls on the very thread that
     * gives them back, so a sender that is never held up stops it for good.
     */
    void oneway() throws Exception {
        int burst = options.number("burst");
        StoredCount stored = new StoredCount();
        new Sending(options, meter).repeat(() -> {
            for (int sent = 1; sent < burst; sent++) {
                producer.sendOneway(message());
            }
            Clients.stored(producer.send(message()));
        }, stored::read, stored::read);
        meter.report(stored.difference());
    }

    private Message message() {
        return new Message(Options.TOPIC, Bodies.any(bytes));
    }

    private Collection<Message> batch(int size) {
        List<Message> messages = new ArrayList<>(size);
        while (messages.size() < size) {
            messages.add(message());
        }
        return messages;
    }
}
