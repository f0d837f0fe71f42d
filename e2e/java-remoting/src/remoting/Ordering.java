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
import java.util.List;
import java.util.function.Predicate;
import kit.Harness;
import kit.Inbox;
import kit.KeyOrder;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/** Orderly consumption: one consumer of a queue at a time, held by a lock; bodies are `queue-number`. */
final class Ordering {
    private static final int QUEUES = 4;

    private Ordering() {
    }

    static void addTo(Harness harness) {
        harness.add("orderly-push", Ordering::push)
            .add("orderly-global", Ordering::global)
            .add("orderly-suspend", Ordering::suspend)
            .add("orderly-dead-letter", Ordering::deadLetter)
            .add("orderly-join-leave", Ordering::joinAndLeave)
            .add("orderly-restart-kill", () -> restart(Harness.Restart.kill))
            .add("retry-topic-pull", Ordering::pullRetryTopic);
    }

    private static DefaultMQPushConsumer unstarted(
            String group, String topic, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, Clients.hook(), new AllocateMessageQueueAveragely());
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.setSuspendCurrentQueueTimeMillis(500);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            Letter letter = letter(messages.get(0));
            boolean succeeds = verdict.test(letter);
            inbox.put(letter);
            return succeeds ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
        });
        return consumer;
    }

    private static DefaultMQPushConsumer orderly(
            String group, String topic, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        DefaultMQPushConsumer consumer = unstarted(group, topic, inbox, verdict);
        consumer.start();
        return consumer;
    }

    private static String send(DefaultMQProducer producer, String topic, int queue, int number) throws Exception {
        String body = "queue" + queue + "-" + number;
        producer.send(message(topic, body), (queues, sent, chosen) -> queues.get((int) chosen), queue);
        return body;
    }

    private static List<String> sendAll(DefaultMQProducer producer, String topic, int from, int to) throws Exception {
        List<String> sent = new ArrayList<>();
        for (int number = from; number < to; number++) {
            for (int queue = 0; queue < QUEUES; queue++) {
                sent.add(send(producer, topic, queue, number));
            }
        }
        return sent;
    }

    private static void inOrder(Inbox inbox) {
        KeyOrder order = new KeyOrder();
        inbox.letters().forEach(letter -> order.consumed(letter.body()));
        equal("out of order", List.of(), order.faults());
    }

    private static void push() throws Exception {
        String topic = Harness.topic(QUEUES);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = orderly(Harness.group(), topic, inbox, letter -> true);
        List<String> sent = sendAll(producer, topic, 0, 20);
        inbox.awaitBodies(sent, PATIENCE);
        inOrder(inbox);
        equal("deliveries", sent.size(), inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    /** One queue: one order for all. */
    private static void global() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = orderly(Harness.group(), topic, inbox, letter -> true);
        for (String body : bodies("all", 50)) {
            producer.send(message(topic, body));
        }
        inbox.await(50, PATIENCE);
        equal("order", bodies("all", 50), inbox.letters().stream().map(Letter::body).toList());
        consumer.shutdown();
        producer.shutdown();
    }

    /** A message that fails holds its queue, and no other, until it succeeds. */
    private static void suspend() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        for (int number = 0; number < 5; number++) {
            send(producer, topic, 0, number);
            send(producer, topic, 1, number);
        }
        DefaultMQPushConsumer consumer = orderly(Harness.group(), topic, inbox,
            letter -> !letter.body().equals("queue0-1") || letter.attempt() >= 3);
        inbox.await(12, PATIENCE);
        List<String> held = inbox.letters().stream().filter(letter -> letter.body().startsWith("queue0"))
            .map(letter -> letter.body() + " " + letter.attempt()).toList();
        equal("the queue that failed", List.of("queue0-0 1", "queue0-1 1", "queue0-1 2", "queue0-1 3",
            "queue0-2 1", "queue0-3 1", "queue0-4 1"), held);
        List<String> all = inbox.letters().stream().map(Letter::body).toList();
        that("the other queue went on: " + all, all.indexOf("queue1-4") < all.indexOf("queue0-2"));
        consumer.shutdown();
        producer.shutdown();
    }

    /** With a maximum, what fails too often becomes a dead letter and lets its queue go on. */
    private static void deadLetter() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group("retries=2");
        DefaultMQProducer producer = producer();
        for (String body : bodies("line", 3)) {
            producer.send(message(topic, body));
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer =
            unstarted(group, topic, inbox, letter -> !letter.body().equals("line-0"));
        consumer.setMaxReconsumeTimes(2);
        consumer.start();
        inbox.awaitBodies(bodies("line", 3), PATIENCE);
        Letter dead = Pulling.firstOf("%DLQ%" + group, PATIENCE);
        equal("dead letter", "line-0", dead.body());
        equal("origin", topic, dead.properties().get("RETRY_TOPIC"));
        List<String> seen = inbox.letters().stream().map(letter -> letter.body() + " " + letter.attempt()).toList();
        equal("attempts", List.of("line-0 1", "line-0 2", "line-0 3", "line-1 1", "line-2 1"), seen);
        consumer.shutdown();
        producer.shutdown();
    }

    /** Queues pass from one consumer to another without two at work on one of them, and quickly. */
    private static void joinAndLeave() throws Exception {
        String topic = Harness.topic(QUEUES);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        KeyOrder order = new KeyOrder();
        Inbox staying = new Inbox();
        Inbox leaving = new Inbox();
        Predicate<Letter> consume = letter -> {
            order.consumed(letter.body());
            return true;
        };
        DefaultMQPushConsumer leaver = orderly(group, topic, leaving, consume);
        List<String> sent = sendAll(producer, topic, 0, 10);
        leaving.awaitBodies(sent, PATIENCE);
        DefaultMQPushConsumer stayer = orderly(group, topic, staying, consume);
        int number = 10;
        long joined = System.nanoTime();
        while (staying.letters().isEmpty()) {
            sent.addAll(sendAll(producer, topic, number, number + 1));
            number++;
            that("the second consumer gets queues within a minute", System.nanoTime() - joined < 60_000_000_000L);
            Thread.sleep(50);
        }
        Inbox.awaitBetween(sent, PATIENCE, staying, leaving);
        leaver.shutdown();
        long left = System.nanoTime();
        List<String> rest = sendAll(producer, topic, number, number + 10);
        sent.addAll(rest);
        Inbox.awaitBetween(sent, PATIENCE, staying, leaving);
        long tookMs = (System.nanoTime() - left) / 1_000_000;
        that("taken over after " + tookMs + " ms", tookMs < 10_000);
        equal("out of order", List.of(), order.faults());
        stayer.shutdown();
        producer.shutdown();
    }

    private static void restart(Harness.Restart how) throws Exception {
        String topic = Harness.topic(QUEUES);
        DefaultMQProducer producer = producer();
        KeyOrder order = new KeyOrder();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = orderly(Harness.group(), topic, inbox, letter -> {
            order.consumed(letter.body());
            return true;
        });
        List<String> sent = sendAll(producer, topic, 0, 20);
        inbox.await(10, PATIENCE);
        Harness.restart(how);
        for (int number = 20; number < 25; number++) {
            for (int queue = 0; queue < QUEUES; queue++) {
                sent.add(sendUntilTaken(producer, topic, queue, number));
            }
        }
        inbox.awaitBodies(sent, Duration.ofSeconds(120));
        equal("out of order", List.of(), order.faults());
        consumer.shutdown();
        producer.shutdown();
    }

    private static String sendUntilTaken(DefaultMQProducer producer, String topic, int queue, int number)
            throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (true) {
            try {
                return send(producer, topic, queue, number);
            } catch (Exception refused) {
                if (System.nanoTime() > end) {
                    throw refused;
                }
                Thread.sleep(200);
            }
        }
    }

    /** What a group gave back stands in its retry topic, which can be read like any other. */
    private static void pullRetryTopic() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group("retries=5");
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer =
            Clients.consumer(group, topic, "*", inbox, letter -> letter.attempt() >= 2);
        producer.send(message(topic, "red", "again"));
        inbox.await(2, PATIENCE);
        Letter retried = Pulling.firstOf("%RETRY%" + group, PATIENCE);
        equal("body", "again", retried.body());
        equal("tag", "red", retried.tag());
        equal("attempt", 2, retried.attempt());
        equal("origin", topic, retried.properties().get("RETRY_TOPIC"));
        consumer.shutdown();
        producer.shutdown();
    }
}
