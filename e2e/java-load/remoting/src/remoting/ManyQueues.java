package remoting;

import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import load.Harness;
import load.Options;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.topic.TopicValidator;

/**
 * Makes topic after topic and sends a first message to each of their queues, until there are as many queues as asked
 * for or most sends of a topic are refused. Between the topics it says how far it is (see {@link Harness#step}).
 */
final class ManyQueues {
    private static final long INDEX_PATIENCE_MS = 5_000;

    private final int queues;
    private final int queuesPerTopic;
    private final int queuesPerStep;
    private final byte[] body;
    private final String broker = System.getenv("BROKER_NAME");
    private final Semaphore inFlight;
    private final int inFlightMax;
    private final AtomicLong stored = new AtomicLong();
    private final AtomicLong refused = new AtomicLong();
    private final AtomicReference<String> refusal = new AtomicReference<>("");

    ManyQueues(Options options) {
        queues = options.number("queues");
        queuesPerTopic = options.number("queues-per-topic");
        queuesPerStep = options.number("queues-per-step");
        body = new byte[options.number("size")];
        inFlightMax = options.number("in-flight");
        inFlight = new Semaphore(inFlightMax);
    }

    void run() throws Exception {
        DefaultMQProducer producer = Clients.producer("many-queues");
        int steps = 0;
        for (int made = 0; made < queues; made += queuesPerTopic) {
            long refusedBefore = refused.get();
            fill(producer, Options.TOPIC + "-" + made / queuesPerTopic);
            boolean refusesMost = refused.get() - refusedBefore > queuesPerTopic / 2;
            boolean isStep = (made + queuesPerTopic) / queuesPerStep > steps || refusesMost;
            if (isStep) {
                steps = (made + queuesPerTopic) / queuesPerStep;
                int readable = readable(producer, Options.TOPIC + "-" + made / queuesPerTopic);
                Harness.step(made + queuesPerTopic, stored.get(), readable, refused.get(), refusal.get());
            }
            if (refusesMost) {
                return;
            }
        }
    }

    private void fill(DefaultMQProducer producer, String topic) throws Exception {
        try {
            producer.createTopic(TopicValidator.AUTO_CREATE_TOPIC_KEY_TOPIC, topic, queuesPerTopic, null);
        } catch (Exception failed) {
            refuse(queuesPerTopic, failed);
            return;
        }
        for (int queue = 0; queue < queuesPerTopic; queue++) {
            inFlight.acquire();
            producer.send(new Message(topic, body), new MessageQueue(topic, broker, queue), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    stored.incrementAndGet();
                    inFlight.release();
                }

                @Override
                public void onException(Throwable failed) {
                    refuse(1, failed);
                    inFlight.release();
                }
            });
        }
        // All of a topic is answered before the next one is made.
        inFlight.acquire(inFlightMax);
        inFlight.release(inFlightMax);
    }

    /** How many of the topic's queues show their message; a broker may index what it has accepted a little later. */
    private int readable(DefaultMQProducer producer, String topic) throws Exception {
        long deadline = System.currentTimeMillis() + INDEX_PATIENCE_MS;
        while (true) {
            int readable = 0;
            for (int queue = 0; queue < queuesPerTopic; queue++) {
                readable += producer.maxOffset(new MessageQueue(topic, broker, queue)) > 0 ? 1 : 0;
            }
            if (readable == queuesPerTopic || System.currentTimeMillis() > deadline) {
                return readable;
            }
            Thread.sleep(50);
        }
    }

    private void refuse(int count, Throwable failed) {
        refused.addAndGet(count);
        refusal.set(String.valueOf(failed.getMessage()).replace('\n', ' '));
    }
}
