package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.PROVIDER;
import static grpc.Clients.producer;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.time.Duration;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import kit.Filters;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import kit.Waking;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Filters by tags and by SQL92. A simple consumer does not filter again, so what it gets is what the server sends. */
final class Filtering {
    /** ILLEGAL_FILTER_EXPRESSION, and the INTERNAL_SERVER_ERROR that the real proxy makes of its broker's answer. */
    private static final Set<String> REFUSED = Set.of("response-code=40010", "response-code=50001");

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
        try (Producer producer = producer(topic)) {
            for (String tag : Filters.TAGS) {
                producer.send(Clients.unbuilt(topic, tag).setTag(tag).build());
            }
        }
        for (Map.Entry<String, List<String>> entry : Filters.TAG_EXPRESSIONS.entrySet()) {
            expect(topic, Clients.tags(entry.getKey()), entry.getValue());
        }
    }

    private static void sql() throws Exception {
        String topic = Harness.topic(1);
        try (Producer producer = producer(topic)) {
            for (Map.Entry<String, Map<String, String>> entry : Filters.MESSAGES.entrySet()) {
                producer.send(withProperties(topic, entry.getKey(), entry.getValue()).build());
            }
        }
        for (Map.Entry<String, List<String>> entry : Filters.SQL_EXPRESSIONS.entrySet()) {
            expect(topic, sql(Filters.orLast(entry.getKey())), entry.getValue());
        }
    }

    /** What does not match neither wakes nor delays a call that waits. */
    private static void longPoll() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = listen(topic, Harness.group(), "price > 10", inbox, letter -> true)) {
            producer.send(withProperties(topic, "warm-up", Map.of("price", "11")).build());
            inbox.await(1, PATIENCE);
            for (int number = 0; number < 5; number++) {
                producer.send(withProperties(topic, "cheap", Map.of("price", "1")).build());
                inbox.expectSilence(Duration.ofMillis(200));
            }
            producer.send(withProperties(topic, "dear", Map.of("price", "12")).build());
            Waking waking = Waking.begin();
            inbox.await(2, PATIENCE);
            waking.end();
            equal("body", "dear", inbox.letters().get(1).body());
        }
    }

    /** A message that passed the filter passes it again when it comes as a retry. */
    private static void retry() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = listen(
                    topic, Harness.group("step-ms=1000"), "price > 10", inbox, letter -> letter.attempt() >= 2)) {
            producer.send(withProperties(topic, "cheap", Map.of("price", "1")).build());
            producer.send(withProperties(topic, "dear", Map.of("price", "12")).build());
            List<Letter> attempts = inbox.await(2, PATIENCE);
            for (int attempt = 1; attempt <= 2; attempt++) {
                equal("body", "dear", attempts.get(attempt - 1).body());
                equal("attempt", attempt, attempts.get(attempt - 1).attempt());
            }
            inbox.expectSilence(Duration.ofSeconds(3));
        }
    }

    private static void broken() throws Exception {
        String topic = Harness.topic(1);
        try (SimpleConsumer consumer = simple(topic, sql("price > 10"))) {
            for (String expression : Filters.BROKEN) {
                consumer.subscribe(topic, sql(expression));
                try {
                    consumer.receive(1, Clients.INVISIBLE);
                } catch (ClientException refused) {
                    that(expression + ": " + refused, REFUSED.stream().anyMatch(refused.toString()::contains));
                    continue;
                }
                throw new AssertionError("accepted: " + expression);
            }
        }
    }

    /** Receives until the last message is there; everything before it in the one queue was offered by then. */
    private static void expect(String topic, FilterExpression filter, List<String> bodies) throws Exception {
        Inbox inbox = new Inbox();
        try (SimpleConsumer consumer = simple(topic, filter)) {
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (inbox.deliveries().get("last") == null) {
                that("last not within " + PATIENCE, System.nanoTime() < deadline);
                for (MessageView message : consumer.receive(16, Clients.INVISIBLE)) {
                    inbox.put(Clients.letter(message));
                    consumer.ack(message);
                }
            }
        }
        equal(filter.getExpression(), new TreeSet<>(bodies), new TreeSet<>(inbox.deliveries().keySet()));
    }

    private static SimpleConsumer simple(String topic, FilterExpression filter) throws Exception {
        return PROVIDER.newSimpleConsumerBuilder()
            .setClientConfiguration(Clients.configuration())
            .setConsumerGroup(Harness.group())
            .setAwaitDuration(Clients.POLL)
            .setSubscriptionExpressions(new HashMap<>(Map.of(topic, filter)))
            .build();
    }

    private static Listening listen(
            String topic, String group, String sql, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        return new Listening(PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(Clients.configuration())
            .setConsumerGroup(group)
            .setSubscriptionExpressions(Collections.singletonMap(topic, sql(sql)))
            .setMessageListener(message -> {
                Letter letter = Clients.letter(message);
                boolean succeeds = verdict.test(letter);
                inbox.put(letter);
                return succeeds ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE;
            })
            .build());
    }

    private static FilterExpression sql(String expression) {
        return new FilterExpression(expression, FilterExpressionType.SQL92);
    }

    private static MessageBuilder withProperties(String topic, String body, Map<String, String> properties) {
        MessageBuilder message = Clients.unbuilt(topic, body);
        properties.forEach((name, value) -> {
            if (name.equals("TAGS")) {
                message.setTag(value);
            } else {
                message.addProperty(name, value);
            }
        });
        return message;
    }
}
