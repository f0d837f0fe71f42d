package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.simpleConsumer;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.time.Duration;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Consumption that fails: retry, redelivery, dead letters. */
final class Failing {
    private Failing() {
    }

    static void addTo(Harness harness) {
        harness.add("retry", Failing::retry)
            .add("retry-simple", Failing::retrySimple)
            .add("change-invisible", Failing::changeInvisible)
            .add("dead-letter", Failing::deadLetter);
    }

    private static void retry() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(
                    Harness.group("step-ms=1000"), topic, "*", inbox, letter -> letter.attempt() >= 3)) {
            String id = producer.send(Clients.unbuilt(topic, "try me").setTag("again").build())
                .getMessageId().toString();
            List<Letter> attempts = inbox.await(3, PATIENCE);
            for (int attempt = 1; attempt <= 3; attempt++) {
                Letter letter = attempts.get(attempt - 1);
                equal("attempt", attempt, letter.attempt());
                equal("body", "try me", letter.body());
                equal("tag", "again", letter.tag());
                equal("id", id, letter.id());
            }
            // Success ends it: the next retry would be due after one second.
            inbox.expectSilence(Duration.ofSeconds(4));
        }
    }

    /** Without an acknowledgement the message becomes visible again, and its attempts are counted. */
    private static void retrySimple() throws Exception {
        String topic = Harness.topic(1);
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            producer.send(message(topic, "take your time"));
            MessageView first = Clients.receiveOne(consumer);
            long received = System.nanoTime();
            MessageView second = Clients.receiveOne(consumer);
            long hiddenMs = (System.nanoTime() - received) / 1_000_000;
            consumer.ack(second);
            equal("first attempt", 1, first.getDeliveryAttempt());
            equal("second attempt", 2, second.getDeliveryAttempt());
            equal("id", first.getMessageId(), second.getMessageId());
            that("hidden for " + hiddenMs + " ms", hiddenMs >= 9_000);
        }
    }

    /** A longer invisible duration counts from the moment of its change. */
    private static void changeInvisible() throws Exception {
        String topic = Harness.topic(1);
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            producer.send(message(topic, "not yet"));
            MessageView first = Clients.receiveOne(consumer);
            consumer.changeInvisibleDuration(first, Duration.ofSeconds(15));
            long changed = System.nanoTime();
            MessageView second = Clients.receiveOne(consumer);
            long hiddenMs = (System.nanoTime() - changed) / 1_000_000;
            consumer.ack(second);
            that("hidden for " + hiddenMs + " ms", hiddenMs >= 14_000);
        }
    }

    private static void deadLetter() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group("retries=1", "step-ms=1000");
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(group, topic, "*", inbox, letter -> false)) {
            producer.send(Clients.unbuilt(topic, "never").setTag("hopeless").build());
            inbox.await(2, PATIENCE);
            Letter dead = awaitDeadLetter("%DLQ%" + group);
            equal("body", "never", dead.body());
            equal("tag", "hopeless", dead.tag());
            equal("attempts", 2, inbox.letters().size());
        }
    }

    /** The dead-letter topic comes into being with its first message. */
    private static Letter awaitDeadLetter(String topic) throws Exception {
        Harness.operator("await-topic " + topic);
        try (SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            MessageView message = Clients.receiveOne(consumer);
            consumer.ack(message);
            return Clients.letter(message);
        }
    }
}
