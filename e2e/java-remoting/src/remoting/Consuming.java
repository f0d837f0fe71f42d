package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import kit.Waking;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** What one push consumer sees. */
final class Consuming {
    private Consuming() {
    }

    static void addTo(Harness harness) {
        harness.add("push-consume", Consuming::push)
            .add("tag-filter", Consuming::tagFilter)
            .add("retry", Consuming::retry)
            .add("dead-letter", Consuming::deadLetter)
            .add("long-poll", Consuming::longPoll);
    }

    /** What was acknowledged does not come again to the group's next consumer. */
    private static void push() throws Exception {
        String topic = Harness.topic(4);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox first = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, first);
        for (String body : bodies("early", 20)) {
            producer.send(message(topic, body));
        }
        first.awaitBodies(bodies("early", 20), PATIENCE);
        consumer.shutdown();
        eachOnce(bodies("early", 20), first);

        Inbox second = new Inbox();
        DefaultMQPushConsumer successor = consumer(group, topic, second);
        for (String body : bodies("late", 20)) {
            producer.send(message(topic, body));
        }
        second.awaitBodies(bodies("late", 20), PATIENCE);
        successor.shutdown();
        equal("messages of the second consumer", 20, second.letters().size());
        producer.shutdown();
    }

    private static void tagFilter() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        for (String tag : List.of("red", "blue", "green", "blue", "red")) {
            producer.send(message(topic, tag, tag));
        }
        producer.send(message(topic, "untagged"));
        producer.send(message(topic, "green", "last"));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, "red || green", inbox, letter -> true);
        // Its threads take them in any order.
        inbox.await(4, PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(1));
        equal("red", 2, inbox.count(letter -> "red".equals(letter.tag())));
        equal("green", 2, inbox.count(letter -> "green".equals(letter.tag())));
        equal("all", 4, inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    private static void retry() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer =
            consumer(Harness.group("retries=5"), topic, "*", inbox, letter -> letter.attempt() >= 3);
        String id = producer.send(message(topic, "again", "try me")).getMsgId();
        List<Letter> attempts = inbox.await(3, PATIENCE);
        for (int attempt = 1; attempt <= 3; attempt++) {
            Letter letter = attempts.get(attempt - 1);
            equal("attempt", attempt, letter.attempt());
            equal("body", "try me", letter.body());
            equal("tag", "again", letter.tag());
            equal("id", id, letter.id());
        }
        // Success ends it: the next retry would be due after one second.
        inbox.expectSilence(Duration.ofSeconds(3));
        consumer.shutdown();
        producer.shutdown();
    }

    private static void deadLetter() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group("retries=1");
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer =
            Clients.unstartedConsumer(group, topic, "*", inbox, letter -> false);
        consumer.setMaxReconsumeTimes(1);
        consumer.start();
        producer.send(message(topic, "hopeless", "never"));
        inbox.await(2, PATIENCE);

        Letter dead = Pulling.firstOf("%DLQ%" + group, PATIENCE);
        equal("body", "never", dead.body());
        equal("tag", "hopeless", dead.tag());
        equal("origin in " + dead, topic, dead.properties().get("RETRY_TOPIC"));
        equal("attempts", 2, inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    /** A message wakes the waiting pull at once: the poll itself would last 15 s and more. */
    private static void longPoll() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        producer.send(message(topic, "warm-up"));
        inbox.await(1, PATIENCE);
        for (int count = 2; count <= 4; count++) {
            inbox.expectSilence(Duration.ofMillis(1_500));
            producer.send(message(topic, "wake-" + count));
            Waking waking = Waking.begin();
            inbox.await(count, PATIENCE);
            waking.end();
        }
        consumer.shutdown();
        producer.shutdown();
    }
}
