package remoting;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import load.Bodies;
import load.Draining;
import load.Harness;
import load.Meter;
import load.Options;
import load.Sending;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Load through the 4.x protocol. */
public final class Main {
    private static final int FILL_THREADS = 4;
    private static final int FILL_BATCH = 32;

    private final Options options;
    private final Meter meter;
    private final int bytes;
    private final DefaultMQProducer producer;

    private Main(Options options) throws Exception {
        this.options = options;
        meter = new Meter(options.text("case"));
        bytes = options.number("bytes");
        producer = producer("producer");
    }

    public static void main(String[] arguments) {
        try {
            new Main(new Options(arguments)).run();
            Harness.end();
        } catch (Throwable failure) {
            Harness.fail(failure);
        }
    }

    private void run() throws Exception {
        switch (options.work) {
            case "sync" -> sync();
            case "async" -> async();
            case "oneway" -> oneway();
            case "batch" -> batch();
            case "push-drain" -> pushDrain();
            default -> throw new IllegalArgumentException("no such work: " + options.work);
        }
    }

    private void sync() throws Exception {
        new Sending(options, meter).sync(() -> {
            stored(producer.send(message()));
            return 1;
        });
        meter.report();
    }

    private void async() throws Exception {
        new Sending(options, meter).async(done -> producer.send(message(), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                stored(result);
                done.run();
            }

            @Override
            public void onException(Throwable failure) {
                Harness.fail(failure);
            }
        }));
        meter.report();
    }

    private void batch() throws Exception {
        int size = options.number("batch");
        new Sending(options, meter).sync(() -> {
            stored(producer.send(batch(0, size)));
            return size;
        });
        meter.report();
    }

    /**
     * Nobody acknowledges these: what counts is what the server has stored between the ends of the window. After each
     * burst one message is sent and awaited: the client takes its permits for oneway calls on the very thread that
     * gives them back, so a sender that is never held up stops it for good.
     */
    private void oneway() throws Exception {
        int burst = options.number("burst");
        StoredCount stored = new StoredCount();
        new Sending(options, meter).repeat(() -> {
            for (int sent = 1; sent < burst; sent++) {
                producer.sendOneway(message());
            }
            stored(producer.send(message()));
        }, stored::read, stored::read);
        meter.report(stored.difference());
    }

    /** Read through a connection of its own, so as not to wait behind what is being sent. */
    private static final class StoredCount {
        private final DefaultMQProducer observer = producer("observer");
        private final List<MessageQueue> queues = observer.fetchPublishMessageQueues(Options.TOPIC);
        private long before;
        private long now;

        StoredCount() throws Exception {
        }

        void read() throws Exception {
            before = now;
            now = 0;
            for (MessageQueue queue : queues) {
                now += observer.getDefaultMQProducerImpl().maxOffset(queue);
            }
        }

        long difference() {
            return now - before;
        }
    }

    private void pushDrain() throws Exception {
        Draining draining = new Draining(options, meter);
        Sending.share(FILL_THREADS, options.number("count"), FILL_BATCH,
            (from, to) -> stored(producer.send(batch(from, to))));
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(Options.GROUP);
        configure(consumer, "consumer");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(Options.TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                draining.consumed(Bodies.number(message.getBody()));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        draining.await();
    }

    private Message message() {
        return new Message(Options.TOPIC, Bodies.any(bytes));
    }

    private Collection<Message> batch(int from, int to) {
        List<Message> messages = new ArrayList<>(to - from);
        for (int number = from; number < to; number++) {
            messages.add(new Message(Options.TOPIC, Bodies.numbered(number, bytes)));
        }
        return messages;
    }

    private static void stored(SendResult result) {
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            Harness.fail(new AssertionError("a send ended with " + result.getSendStatus()));
        }
    }

    private static DefaultMQProducer producer(String instance) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("load");
        configure(producer, instance);
        producer.setSendMsgTimeout(10_000);
        // A repeated send would hide a refusal.
        producer.setRetryTimesWhenSendFailed(0);
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.start();
        return producer;
    }

    private static void configure(ClientConfig client, String instance) {
        client.setNamesrvAddr(Options.NAMESRV);
        client.setInstanceName(instance);
    }
}
