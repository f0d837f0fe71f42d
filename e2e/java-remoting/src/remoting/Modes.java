package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.impatient;
import static remoting.Clients.letter;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Ways to consume beside the ordinary one: to all, on request, in a namespace, compressed, traced. */
@SuppressWarnings("deprecation")
final class Modes {
    private static final String TRACES = "RMQ_SYS_TRACE_TOPIC";

    private Modes() {
    }

    static void addTo(Harness harness) {
        harness.add("broadcast", Modes::broadcast)
            .add("start-from", Modes::startFrom)
            .add("lite-pull-seek", Modes::litePullSeek)
            .add("request-reply", Modes::requestReply)
            .add("request-unanswered", Modes::requestUnanswered)
            .add("reply-to-nobody", Modes::replyToNobody)
            .add("namespace", Modes::namespace)
            .add("compressed-zlib", Modes::compressed)
            .add("trace-topic", Modes::traced);
    }

    /** Every member gets everything; what fails is not retried. */
    private static void broadcast() throws Exception {
        String topic = Harness.topic(4);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox one = new Inbox();
        Inbox other = new Inbox();
        DefaultMQPushConsumer first = broadcasting(group, topic, one, true);
        DefaultMQPushConsumer second = broadcasting(group, topic, other, false);
        for (String body : bodies("all", 20)) {
            producer.send(message(topic, body));
        }
        one.awaitBodies(bodies("all", 20), PATIENCE);
        other.awaitBodies(bodies("all", 20), PATIENCE);
        other.expectSilence(Duration.ofSeconds(2));
        eachOnce(bodies("all", 20), one);
        eachOnce(bodies("all", 20), other);
        first.shutdown();
        second.shutdown();
        producer.shutdown();
    }

    private static DefaultMQPushConsumer broadcasting(String group, String topic, Inbox inbox, boolean succeeds)
            throws Exception {
        DefaultMQPushConsumer consumer = Clients.unstartedConsumer(group, topic, "*", inbox, letter -> succeeds);
        Version.broadcast(consumer);
        consumer.start();
        return consumer;
    }

    /** On a young topic a new group starts at its first message, wherever it wants to start. */
    private static void startFrom() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        for (String body : bodies("early", 6)) {
            producer.send(message(topic, body));
        }
        for (ConsumeFromWhere where : List.of(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET,
                ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET, ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
            Inbox inbox = new Inbox();
            DefaultMQPushConsumer consumer =
                Clients.unstartedConsumer(Harness.group(), topic, "*", inbox, letter -> true);
            consumer.setConsumeFromWhere(where);
            consumer.start();
            inbox.awaitBodies(bodies("early", 6), PATIENCE);
            eachOnce(bodies("early", 6), inbox);
            consumer.shutdown();
        }
        producer.shutdown();
    }

    private static void litePullSeek() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        List<Long> stored = new ArrayList<>();
        for (String body : bodies("sought", 10)) {
            producer.send(message(topic, body));
        }
        String group = Harness.group();
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group, Clients.hook());
        impatient(consumer);
        consumer.setAutoCommit(false);
        consumer.start();
        MessageQueue queue = consumer.fetchMessageQueues(topic).iterator().next();
        consumer.assign(List.of(queue));
        poll(consumer, 10);
        Pulling.awaitHeldPull(group);
        consumer.seekToBegin(queue);
        for (MessageExt each : poll(consumer, 10)) {
            stored.add(each.getStoreTimestamp());
        }
        // Several messages may share a millisecond: the first of them is found.
        long time = stored.get(6);
        equal("offset of a time", (long) stored.indexOf(time), consumer.offsetForTimestamp(queue, time));
        Pulling.awaitHeldPull(group);
        consumer.seekToEnd(queue);
        producer.send(message(topic, "newest"));
        equal("after the end", "newest", letter(poll(consumer, 1).get(0)).body());
        Pulling.awaitHeldPull(group);
        consumer.seek(queue, 4);
        equal("sought", "sought-4", letter(poll(consumer, 1).get(0)).body());
        consumer.commitSync(java.util.Map.of(queue, 7L), true);
        equal("committed", Long.valueOf(7), consumer.committed(queue));
        consumer.shutdown();
        producer.shutdown();
    }

    private static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) {
        List<MessageExt> polled = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (polled.size() < count && System.nanoTime() < deadline) {
            polled.addAll(consumer.poll(1_000));
        }
        that("polled " + polled.size() + " of " + count, polled.size() >= count);
        return polled;
    }

    // === request and reply

    private static void requestReply() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer replier = producer();
        DefaultMQPushConsumer consumer = replying(topic, replier, new Inbox());
        DefaultMQProducer requester = producer();
        for (String body : bodies("question", 5)) {
            Message reply = requester.request(message(topic, body), 30_000);
            equal("reply", "answer to " + body, new String(reply.getBody(), StandardCharsets.UTF_8));
        }
        consumer.shutdown();
        requester.shutdown();
        replier.shutdown();
    }

    /** Without an answer the request ends in time. */
    private static void requestUnanswered() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer requester = producer();
        try {
            requester.request(message(topic, "anybody?"), 1_500);
            throw new AssertionError("nobody was there to answer");
        } catch (RequestTimeoutException expected) {
            // As it should be.
        }
        requester.shutdown();
    }

    /** The requester has gone: the replier is told, and the reply is stored. */
    private static void replyToNobody() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer requester = producer();
        DefaultMQProducer replier = producer();
        Inbox requests = new Inbox();
        List<MessageExt> held = new ArrayList<>();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(Harness.group(), Clients.hook(), new AllocateMessageQueueAveragely());
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((List<MessageExt> messages, ConsumeConcurrentlyContext context) -> {
            held.addAll(messages);
            messages.forEach(each -> requests.put(letter(each)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        CountDownLatch ended = new CountDownLatch(1);
        Thread asking = new Thread(() -> {
            try {
                requester.request(message(topic, "and gone"), 2_000);
            } catch (Exception expected) {
                ended.countDown();
            }
        });
        asking.start();
        requests.await(1, PATIENCE);
        that("the request ends", ended.await(60, TimeUnit.SECONDS));
        requester.shutdown();
        Message reply = MessageUtil.createReplyMessage(held.get(0), "too late".getBytes(StandardCharsets.UTF_8));
        try {
            replier.send(reply, 5_000);
            throw new AssertionError("the reply reached nobody, and no error came");
        } catch (MQClientException told) {
            // The client tries thrice: a system error may pass.
            equal("code", 1, told.getResponseCode());
        }
        equal("stored", "too late", lastOf(reply.getTopic(), "too late").body());
        consumer.shutdown();
        replier.shutdown();
    }

    private static DefaultMQPushConsumer replying(String topic, DefaultMQProducer replier, Inbox inbox)
            throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(Harness.group(), Clients.hook(), new AllocateMessageQueueAveragely());
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((List<MessageExt> messages, ConsumeConcurrentlyContext context) -> {
            for (MessageExt each : messages) {
                inbox.put(letter(each));
                try {
                    byte[] answer = ("answer to " + letter(each).body()).getBytes(StandardCharsets.UTF_8);
                    replier.send(MessageUtil.createReplyMessage(each, answer), 5_000);
                } catch (Exception failure) {
                    failure.printStackTrace();
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    // === names, bodies, traces

    /** Clients put the namespace before their names and take it off again; retries keep it. */
    private static void namespace() throws Exception {
        String namespace = Harness.unique("ns");
        String topic = Harness.unique("topic");
        String group = Harness.unique("group");
        Harness.operator("topic " + namespace + "%" + topic + " NORMAL 2");
        Harness.operator("group " + namespace + "%" + group);
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), Clients.hook());
        impatient(producer);
        producer.setNamespace(namespace);
        producer.start();
        Inbox inbox = new Inbox();
        List<String> topics = new ArrayList<>();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, Clients.hook(), new AllocateMessageQueueAveragely());
        impatient(consumer);
        consumer.setNamespace(namespace);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((List<MessageExt> messages, ConsumeConcurrentlyContext context) -> {
            synchronized (topics) {
                topics.add(messages.get(0).getTopic());
            }
            Letter letter = letter(messages.get(0));
            inbox.put(letter);
            context.setDelayLevelWhenNextConsume(1);
            return letter.attempt() > 1
                ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        producer.send(message(topic, "inside"));
        List<Letter> attempts = inbox.await(2, PATIENCE);
        equal("attempts", List.of(1, 2), attempts.stream().map(Letter::attempt).toList());
        synchronized (topics) {
            equal("topics as the application sees them", List.of(topic, topic), topics);
        }
        equal("stored under the whole name", "inside", Pulling.firstOf(namespace + "%" + topic, PATIENCE).body());
        consumer.shutdown();
        producer.shutdown();
    }

    /** The producer compresses what is large, and consumers open it. */
    private static void compressed() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        String large = "zip me ".repeat(3_000);
        producer.send(message(topic, large));
        producer.send(message(topic, "small"));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(List.of(large, "small"), PATIENCE);
        consumer.shutdown();
        DefaultMQPullConsumer puller = Pulling.pullConsumer(Harness.group());
        MessageQueue queue = puller.fetchSubscribeMessageQueues(topic).iterator().next();
        List<MessageExt> stored = puller.pull(queue, "*", 0, 2).getMsgFoundList();
        that("stored small: " + stored.get(0).getStoreSize(), stored.get(0).getStoreSize() < 2_000);
        puller.shutdown();
        producer.shutdown();
    }

    /** What clients tell of their messages is a message itself, and can be read. */
    private static void traced() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), Clients.hook(), true, null);
        impatient(producer);
        producer.start();
        String id = producer.send(message(topic, "traced")).getMsgId();
        // The trace is sent on by the client's own thread; ending it sends the rest.
        producer.shutdown();
        Letter trace = lastOf(TRACES, id);
        that("names the topic: " + trace.body(), trace.body().contains(topic));
        that("of a send: " + trace.body(), trace.body().startsWith("Pub\u0001"));
    }

    /** A message of a topic whose body or keys contain a text; looks until it is there. */
    private static Letter lastOf(String topic, String text) throws Exception {
        DefaultMQPullConsumer consumer = Pulling.pullConsumer(Harness.group());
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        try {
            while (System.nanoTime() < deadline) {
                for (MessageQueue queue : Pulling.queuesOf(consumer, topic)) {
                    for (MessageExt each : all(consumer, queue)) {
                        if (letter(each).body().contains(text) || letter(each).keys().contains(text)) {
                            return letter(each);
                        }
                    }
                }
            }
        } finally {
            consumer.shutdown();
        }
        throw new AssertionError("no " + text + " in " + topic);
    }

    private static List<MessageExt> all(DefaultMQPullConsumer consumer, MessageQueue queue) throws Exception {
        List<MessageExt> found = new ArrayList<>();
        PullResult result = consumer.pull(queue, "*", consumer.minOffset(queue), 32);
        while (result.getPullStatus() == PullStatus.FOUND) {
            found.addAll(result.getMsgFoundList());
            result = consumer.pull(queue, "*", result.getNextBeginOffset(), 32);
        }
        return found;
    }
}
