package remoting;

import static kit.Expect.bodies;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.impatient;
import static remoting.Clients.letter;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import kit.Harness;
import kit.Letter;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Reading by offset, by time, by key and by id. */
@SuppressWarnings("deprecation")
final class Pulling {
    private Pulling() {
    }

    static void addTo(Harness harness) {
        harness.add("pull", Pulling::pull)
            .add("lite-pull", Pulling::litePull)
            .add("lite-pull-assign", Pulling::litePullAssign)
            .add("offsets", Pulling::offsets)
            .add("query", Pulling::query);
    }

    private static void pull() throws Exception {
        String topic = Harness.topic(1);
        List<SendResult> sent = sendAll(topic, bodies("pulled", 10));
        MessageQueue queue = sent.get(0).getMessageQueue();
        String group = Harness.group();
        DefaultMQPullConsumer consumer = pullConsumer(group);
        PullResult start = consumer.pull(queue, "*", 0, 4);
        equal("status", PullStatus.FOUND, start.getPullStatus());
        equal("bodies", bodies("pulled", 4), bodiesOf(start.getMsgFoundList()));
        equal("next", 4L, start.getNextBeginOffset());
        equal("min", 0L, start.getMinOffset());
        equal("max", 10L, start.getMaxOffset());
        PullResult end = consumer.pull(queue, "*", 10, 4);
        equal("status at the end", PullStatus.NO_NEW_MSG, end.getPullStatus());
        PullResult beyond = consumer.pull(queue, "*", 100, 4);
        equal("status beyond the end", PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus());
        equal("correction", 10L, beyond.getNextBeginOffset());

        that("no offset yet", consumer.fetchConsumeOffset(queue, true) <= 0);
        consumer.updateConsumeOffset(queue, 4);
        consumer.getOffsetStore().persist(queue);
        consumer.shutdown();
        DefaultMQPullConsumer successor = pullConsumer(group);
        equal("stored offset", 4L, awaitStoredOffset(successor, queue, 4));
        successor.shutdown();
    }

    /** The offset travels one-way, so its arrival has no event. */
    private static long awaitStoredOffset(DefaultMQPullConsumer consumer, MessageQueue queue, long expected)
            throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(10).toNanos();
        long stored = consumer.fetchConsumeOffset(queue, true);
        while (stored != expected && System.nanoTime() < deadline) {
            stored = consumer.fetchConsumeOffset(queue, true);
        }
        return stored;
    }

    private static void litePull() throws Exception {
        String topic = Harness.topic(4);
        sendAll(topic, bodies("polled", 20));
        String group = Harness.group();
        DefaultLitePullConsumer consumer = litePullConsumer(group);
        consumer.subscribe(topic, "*");
        consumer.start();
        equal("polled", new TreeSet<>(bodies("polled", 20)), poll(consumer, 20));
        consumer.commitSync();
        consumer.shutdown();

        sendAll(topic, bodies("after", 5));
        DefaultLitePullConsumer successor = litePullConsumer(group);
        successor.subscribe(topic, "*");
        successor.start();
        equal("polled after the commit", new TreeSet<>(bodies("after", 5)), poll(successor, 5));
        successor.shutdown();
    }

    private static void litePullAssign() throws Exception {
        String topic = Harness.topic(1);
        sendAll(topic, bodies("assigned", 10));
        String group = Harness.group();
        DefaultLitePullConsumer consumer = litePullConsumer(group);
        consumer.setAutoCommit(false);
        consumer.start();
        MessageQueue queue = consumer.fetchMessageQueues(topic).iterator().next();
        consumer.assign(List.of(queue));
        equal("of the assignment", new TreeSet<>(bodies("assigned", 10)), poll(consumer, 10));
        awaitHeldPull(group);
        consumer.seekToBegin(queue);
        equal("from the beginning", new TreeSet<>(bodies("assigned", 10)), poll(consumer, 10));
        awaitHeldPull(group);
        consumer.seek(queue, 7);
        equal("from the middle", Set.of("assigned-7", "assigned-8", "assigned-9"), poll(consumer, 3));
        consumer.shutdown();
    }

    /**
     * Waits until the lite pull consumer's thread awaits the answer to a pull. Between two pulls the client may lose
     * a seek: the task that the seek cancels takes the sought offset, and drops what it fetches from there.
     */
    static void awaitHeldPull(String group) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (Thread.getAllStackTraces().entrySet().stream().noneMatch(of -> awaitsAnswer(group, of))) {
            that("a pull is held", System.nanoTime() < deadline);
            Thread.onSpinWait();
        }
    }

    private static boolean awaitsAnswer(String group, Map.Entry<Thread, StackTraceElement[]> of) {
        Thread thread = of.getKey();
        return thread.getName().startsWith("PullMsgThread-" + group)
            && thread.getState() == Thread.State.TIMED_WAITING
            && Arrays.stream(of.getValue()).anyMatch(frame -> frame.getMethodName().equals("invokeSyncImpl"));
    }

    private static void offsets() throws Exception {
        String topic = Harness.topic(1);
        List<SendResult> sent = sendAll(topic, bodies("timed", 5));
        MessageQueue queue = sent.get(0).getMessageQueue();
        DefaultMQPullConsumer consumer = pullConsumer(Harness.group());
        equal("min", 0L, consumer.minOffset(queue));
        equal("max", 5L, consumer.maxOffset(queue));
        equal("queues", 1, consumer.fetchSubscribeMessageQueues(topic).size());

        List<MessageExt> stored = consumer.pull(queue, "*", 0, 32).getMsgFoundList();
        long first = stored.get(0).getStoreTimestamp();
        long last = stored.get(4).getStoreTimestamp();
        equal("time before all", 0L, consumer.searchOffset(queue, first - 1_000));
        equal("time of the first", 0L, consumer.searchOffset(queue, first));
        long found = consumer.searchOffset(queue, last);
        equal("time of the last", last, stored.get((int) found).getStoreTimestamp());
        equal("time after all", 5L, consumer.searchOffset(queue, last + 1_000));
        equal("earliest", first, consumer.earliestMsgStoreTime(queue));
        consumer.shutdown();
    }

    private static void query() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        long begin = System.currentTimeMillis() - 60_000;
        Message sought = message(topic, "tagged", "needle");
        sought.setKeys(List.of("order-17", "customer-4"));
        SendResult sent = producer.send(sought);
        producer.send(message(topic, "hay"));

        equal("by offset id", "needle", letter(producer.viewMessage(topic, sent.getOffsetMsgId())).body());
        equal("by key", List.of("needle"), awaitByKey(producer, topic, "order-17", begin));
        equal("by the other key", List.of("needle"), awaitByKey(producer, topic, "customer-4", begin));
        equal("by unique id", "needle", letter(producer.viewMessage(topic, sent.getMsgId())).body());
        equal("by no key", List.of(), byKey(producer, topic, "order-18", begin));
        producer.shutdown();
    }

    /** The key index may follow the message a little later. */
    private static List<String> awaitByKey(DefaultMQProducer producer, String topic, String key, long begin)
            throws Exception {
        long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
        List<String> found = byKey(producer, topic, key, begin);
        while (found.isEmpty() && System.nanoTime() < deadline) {
            found = byKey(producer, topic, key, begin);
        }
        return found;
    }

    private static List<String> byKey(DefaultMQProducer producer, String topic, String key, long begin)
            throws Exception {
        try {
            QueryResult result = producer.queryMessage(topic, key, 10, begin, System.currentTimeMillis() + 60_000);
            return bodiesOf(result.getMessageList());
        } catch (MQClientException nothingFound) {
            return List.of();
        }
    }

    /** The first message of a topic that may not exist yet. */
    static Letter firstOf(String topic, Duration patience) throws Exception {
        DefaultMQPullConsumer consumer = pullConsumer(Harness.group());
        long deadline = System.nanoTime() + patience.toNanos();
        try {
            while (System.nanoTime() < deadline) {
                for (MessageQueue queue : queuesOf(consumer, topic)) {
                    PullResult result = consumer.pull(queue, "*", 0, 1);
                    if (result.getPullStatus() == PullStatus.FOUND) {
                        return letter(result.getMsgFoundList().get(0));
                    }
                }
            }
        } finally {
            consumer.shutdown();
        }
        throw new AssertionError("nothing in " + topic);
    }

    static Set<MessageQueue> queuesOf(DefaultMQPullConsumer consumer, String topic) {
        try {
            return consumer.fetchSubscribeMessageQueues(topic);
        } catch (MQClientException noRoute) {
            return Set.of();
        }
    }

    private static Set<String> poll(DefaultLitePullConsumer consumer, int count) {
        Set<String> bodies = new TreeSet<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (bodies.size() < count && System.nanoTime() < deadline) {
            bodies.addAll(bodiesOf(consumer.poll(1_000)));
        }
        that("polled " + bodies.size() + " of " + count, bodies.size() >= count);
        return bodies;
    }

    private static List<SendResult> sendAll(String topic, List<String> bodies) throws Exception {
        DefaultMQProducer producer = producer();
        List<SendResult> results = new ArrayList<>();
        for (String body : bodies) {
            results.add(producer.send(message(topic, body)));
        }
        producer.shutdown();
        return results;
    }

    static DefaultMQPullConsumer pullConsumer(String group) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group, Clients.hook());
        impatient(consumer);
        consumer.start();
        return consumer;
    }

    private static DefaultLitePullConsumer litePullConsumer(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group, Clients.hook());
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    private static List<String> bodiesOf(List<MessageExt> messages) {
        return messages.stream().map(message -> letter(message).body()).toList();
    }
}
