package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.letter;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import kit.Harness;
import kit.Inbox;
import kit.Lateness;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Timed messages; those of the properties that only newer clients have setters for are set by their names. */
final class Timing {
    static final String DELIVER = "TIMER_DELIVER_MS";
    static final String DELAY_SECONDS = "TIMER_DELAY_SEC";
    static final String DELAY = "TIMER_DELAY_MS";
    /** MESSAGE_ILLEGAL. */
    private static final int ILLEGAL = 13;
    /** A push consumer hears of a message by its long poll; the machine is busy. */
    private static final long ROUND_TRIP_MS = 3_000;

    private Timing() {
    }

    static void addTo(Harness harness) {
        harness.add("timed-levels", Timing::levels)
            .add("timed-properties", Timing::properties)
            .add("timed-illegal", Timing::illegal)
            .add("timed-past", Timing::past)
            .addAlone("timed-thousand", Timing::thousand)
            .add("timed-restart-kill", Timing::restart);
    }

    /** A consumer that also notes when a message was stored and received, by its body. */
    static DefaultMQPushConsumer noting(String topic, Inbox inbox, Map<String, long[]> times) throws Exception {
        DefaultMQPushConsumer consumer =
            Clients.unstartedConsumer(Harness.group(), topic, "*", inbox, letter -> true);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                times.put(letter(message).body(), new long[] {message.getStoreTimestamp(), System.currentTimeMillis()});
                inbox.put(letter(message));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    static Message timed(String topic, String body, String property, Object value) {
        Message message = message(topic, body);
        MessageAccessor.putProperty(message, property, String.valueOf(value));
        return message;
    }

    private static void levels() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        Map<String, long[]> times = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = noting(topic, inbox, times);
        long[] seconds = {1, 5, 10};
        long start = System.currentTimeMillis();
        for (int level = 1; level <= seconds.length; level++) {
            Message message = message(topic, "level-" + (level - 1));
            message.setDelayTimeLevel(level);
            // The level beats what else is told.
            MessageAccessor.putProperty(message, DELAY, "1");
            producer.send(message);
        }
        inbox.awaitBodies(bodies("level", seconds.length), PATIENCE);
        eachOnce(bodies("level", seconds.length), inbox);
        for (int level = 0; level < seconds.length; level++) {
            expectTime("level " + (level + 1), start + seconds[level] * 1_000, times.get("level-" + level));
        }
        consumer.shutdown();
        producer.shutdown();
    }

    private static void properties() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        Map<String, long[]> times = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = noting(topic, inbox, times);
        long start = System.currentTimeMillis();
        producer.send(timed(topic, "at-0", DELIVER, start + 3_500));
        producer.send(timed(topic, "at-1", DELAY_SECONDS, 4));
        inbox.awaitBodies(bodies("at", 2), PATIENCE);
        expectTime(DELIVER, start + 3_500, times.get("at-0"));
        expectTime(DELAY_SECONDS, start + 4_000, times.get("at-1"));
        consumer.shutdown();
        producer.shutdown();
    }

    /** Not before the time, and soon after; times are {stored, received}. */
    static void expectTime(String what, long dueMs, long[] times) {
        that(what + ": stored " + (times[0] - dueMs) + " ms after its time", times[0] >= dueMs);
        that(what + ": received " + (times[1] - dueMs) + " ms after its time", times[1] - dueMs < ROUND_TRIP_MS);
    }

    private static void illegal() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        long year = 365L * 86_400_000;
        equal("a time that is no number", ILLEGAL, refusal(producer, timed(topic, "x", DELIVER, "tomorrow")));
        equal("no whole number of seconds", ILLEGAL, refusal(producer, timed(topic, "x", DELAY_SECONDS, "1.5")));
        equal("101 years from now", ILLEGAL,
            refusal(producer, timed(topic, "x", DELIVER, System.currentTimeMillis() + 101 * year)));
        equal("the end of time", ILLEGAL, refusal(producer, timed(topic, "x", DELIVER, Long.MAX_VALUE)));
        producer.shutdown();
    }

    static int refusal(DefaultMQProducer producer, Message message) throws Exception {
        try {
            SendResult result = producer.send(message);
            throw new AssertionError("accepted: " + result);
        } catch (MQBrokerException refused) {
            return refused.getResponseCode();
        }
    }

    /** What is due already goes out at once. */
    private static void past() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Object[] times = {System.currentTimeMillis() - 1, 1, 0, -5, Long.MIN_VALUE};
        for (int number = 0; number < times.length; number++) {
            producer.send(timed(topic, "past-" + number, DELIVER, times[number]));
        }
        inbox.awaitBodies(bodies("past", times.length), PATIENCE);
        eachOnce(bodies("past", times.length), inbox);
        consumer.shutdown();
        producer.shutdown();
    }

    /** A thousand messages over the next thirty seconds: how late each is in the log, and at the consumer. */
    private static void thousand() throws Exception {
        int count = 1_000;
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        Map<String, long[]> times = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = noting(topic, inbox, times);
        long begin = System.currentTimeMillis() + 8_000;
        List<Long> due = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            due.add(begin + number * 30_000L / count);
            producer.send(timed(topic, "soon-" + number, DELIVER, due.get(number)));
        }
        that("all were sent before the first was due", System.currentTimeMillis() < begin);
        inbox.awaitBodies(bodies("soon", count), PATIENCE.plusSeconds(30));
        eachOnce(bodies("soon", count), inbox);
        Lateness stored = new Lateness();
        Lateness received = new Lateness();
        for (int number = 0; number < count; number++) {
            long[] at = times.get("soon-" + number);
            stored.add(due.get(number), at[0]);
            received.add(due.get(number), at[1]);
        }
        stored.expect("in the log", 100);
        received.expect("at the consumer", ROUND_TRIP_MS);
        consumer.shutdown();
        producer.shutdown();
    }

    /** The server dies in the middle of due times: each message is in its queue once, and none is lost. */
    private static void restart() throws Exception {
        int count = 200;
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        long begin = System.currentTimeMillis() + 2_000;
        for (int number = 0; number < count; number++) {
            producer.send(timed(topic, "across-" + number, DELIVER, begin + number * 60L));
        }
        inbox.await(20, PATIENCE);
        Harness.restart(Harness.Restart.kill);
        inbox.await(100, PATIENCE);
        Harness.restart(Harness.Restart.kill);
        inbox.awaitBodies(bodies("across", count), Duration.ofSeconds(120));
        long stored = 0;
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            stored += producer.maxOffset(queue) - producer.minOffset(queue);
        }
        equal("messages in the queues", (long) count, stored);
        consumer.shutdown();
        producer.shutdown();
    }
}
