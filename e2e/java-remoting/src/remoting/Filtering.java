package remoting;

import static kit.Expect.equal;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.function.Predicate;
import kit.Filters;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import kit.Waking;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Filters by tags and by SQL92. */
final class Filtering {
    /** SUBSCRIPTION_PARSE_FAILED. */
    private static final int REFUSED = 23;

    private Filtering() {
    }

    static void addTo(Harness harness) {
        harness.add("filter-tags", Filtering::tags)
            .add("filter-sql", Filtering::sql)
            .add("filter-sql-long-poll", Filtering::longPoll)
            .add("filter-sql-retry", Filtering::retry)
            .add("filter-sql-broken", Filtering::broken);
    }

    private static void tags() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        for (String tag : Filters.TAGS) {
            producer.send(message(topic, tag, tag));
        }
        Map<String, Inbox> inboxes = new LinkedHashMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (String expression : Filters.TAG_EXPRESSIONS.keySet()) {
            Inbox inbox = new Inbox();
            inboxes.put(expression, inbox);
            consumers.add(Clients.consumer(Harness.group(), topic, expression, inbox, letter -> true));
        }
        expect(inboxes, Filters.TAG_EXPRESSIONS);
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        producer.shutdown();
    }

    private static void sql() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        for (Map.Entry<String, Map<String, String>> entry : Filters.MESSAGES.entrySet()) {
            producer.send(withProperties(message(topic, entry.getKey()), entry.getValue()));
        }
        Map<String, Inbox> inboxes = new LinkedHashMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (String expression : Filters.SQL_EXPRESSIONS.keySet()) {
            Inbox inbox = new Inbox();
            inboxes.put(expression, inbox);
            consumers.add(consumer(topic, Harness.group(), Filters.orLast(expression), inbox, letter -> true));
        }
        expect(inboxes, Filters.SQL_EXPRESSIONS);
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        producer.shutdown();
    }

    /** What does not match neither wakes nor delays a consumer that waits. */
    private static void longPoll() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(topic, Harness.group(), "price > 10", inbox, letter -> true);
        producer.send(withProperties(message(topic, "warm-up"), Map.of("price", "11")));
        inbox.await(1, PATIENCE);
        for (int number = 0; number < 5; number++) {
            producer.send(withProperties(message(topic, "cheap"), Map.of("price", "1")));
            inbox.expectSilence(Duration.ofMillis(200));
        }
        producer.send(withProperties(message(topic, "dear"), Map.of("price", "12")));
        Waking waking = Waking.begin();
        inbox.await(2, PATIENCE);
        waking.end();
        equal("body", "dear", inbox.letters().get(1).body());
        consumer.shutdown();
        producer.shutdown();
    }

    /** A message that passed the filter passes it again when it comes as a retry. */
    private static void retry() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(
            topic, Harness.group("retries=5"), "price > 10", inbox, letter -> letter.attempt() >= 3);
        producer.send(withProperties(message(topic, "cheap"), Map.of("price", "1")));
        producer.send(withProperties(message(topic, "dear"), Map.of("price", "12")));
        List<Letter> attempts = inbox.await(3, PATIENCE);
        for (int attempt = 1; attempt <= 3; attempt++) {
            equal("body", "dear", attempts.get(attempt - 1).body());
            equal("attempt", attempt, attempts.get(attempt - 1).attempt());
        }
        inbox.expectSilence(Duration.ofSeconds(2));
        consumer.shutdown();
        producer.shutdown();
    }

    private static void broken() throws Exception {
        String topic = Harness.topic(1);
        for (String expression : Filters.BROKEN) {
            try {
                consumer(topic, Harness.group(), expression, new Inbox(), letter -> true);
            } catch (MQClientException refused) {
                equal("code of " + expression, REFUSED, refused.getResponseCode());
                continue;
            }
            throw new AssertionError("accepted: " + expression);
        }
    }

    private static void expect(Map<String, Inbox> inboxes, Map<String, List<String>> expected) throws Exception {
        for (Map.Entry<String, List<String>> entry : expected.entrySet()) {
            Inbox inbox = inboxes.get(entry.getKey());
            inbox.awaitBodies(entry.getValue(), PATIENCE);
            // One queue: whatever else came, came before the last message, and needs a moment at most.
            inbox.expectSilence(Duration.ofMillis(200));
            equal(entry.getKey(), new TreeSet<>(entry.getValue()), new TreeSet<>(inbox.deliveries().keySet()));
        }
    }

    private static DefaultMQPushConsumer consumer(
            String topic, String group, String sql, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        DefaultMQPushConsumer consumer = Clients.unstartedConsumer(group, topic, "*", inbox, verdict);
        consumer.subscribe(topic, MessageSelector.bySql(sql));
        consumer.start();
        return consumer;
    }

    private static Message withProperties(Message message, Map<String, String> properties) {
        properties.forEach((name, value) -> {
            if (name.equals("TAGS")) {
                message.setTags(value);
            } else {
                message.putUserProperty(name, value);
            }
        });
        return message;
    }
}
