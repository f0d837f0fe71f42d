package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.PROVIDER;
import static grpc.Clients.configuration;
import static grpc.Clients.producer;
import static kit.Expect.equal;
import static kit.Expect.that;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.KeyOrder;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.LitePushConsumer;
import org.apache.rocketmq.client.apis.consumer.OffsetOption;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.java.exception.LiteSubscriptionQuotaExceededException;

/** Lite topics of one parent; bodies are `litetopic-number`. */
final class Lite {
    private Lite() {
    }

    static void addTo(Harness harness) {
        harness.add("lite-push", Lite::push)
            .add("lite-unsubscribe", Lite::unsubscribe)
            .add("lite-exclusive", Lite::exclusive)
            .add("lite-quota", Lite::quota)
            .add("lite-bad-input", Lite::badInput)
            .add("lite-restart-graceful", Lite::restart)
            .add("lite-admin", Lite::admin);
    }

    private static String parent() throws Exception {
        String name = Harness.unique("lite");
        Harness.operator("topic " + name + " LITE 4 lite.topic.expiration=60");
        return name;
    }

    private static String group(String parent, String... attributes) throws Exception {
        String name = Harness.unique("litegroup");
        Harness.operator("lite-group " + name + " " + parent + " " + String.join(" ", attributes));
        return name;
    }

    private static String send(Producer producer, String parent, String lite, int number) throws Exception {
        String body = lite + "-" + number;
        producer.send(Clients.unbuilt(parent, body).setLiteTopic(lite).build());
        return body;
    }

    /** A consumer that leaves without being waited for. */
    record Listening(LitePushConsumer client) implements AutoCloseable {
        @Override
        public void close() {
            new Thread(() -> {
                try {
                    client.close();
                } catch (IOException failed) {
                    failed.printStackTrace();
                }
            }).start();
        }
    }

    private static Listening consumer(String group, String parent, Inbox inbox) throws ClientException {
        return new Listening(PROVIDER.newLitePushConsumerBuilder()
            .setClientConfiguration(configuration())
            .bindTopic(parent)
            .setConsumerGroup(group)
            .setMessageListener(message -> {
                inbox.put(Clients.letter(message));
                boolean named = message.getLiteTopic().isPresent();
                return named ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE;
            })
            .build());
    }

    private static void push() throws Exception {
        String parent = parent();
        Inbox inbox = new Inbox();
        try (Producer producer = producer(parent); Listening consumer = consumer(group(parent), parent, inbox)) {
            for (int lite = 0; lite < 40; lite++) {
                consumer.client().subscribeLite("room" + lite);
            }
            List<String> bodies = new ArrayList<>();
            for (int number = 0; number < 5; number++) {
                for (int lite = 0; lite < 80; lite++) {
                    String body = send(producer, parent, "room" + lite, number);
                    if (lite < 40) {
                        bodies.add(body);
                    }
                }
            }
            inbox.awaitBodies(bodies, PATIENCE);
            KeyOrder order = new KeyOrder();
            inbox.letters().forEach(letter -> order.consumed(letter.body()));
            equal("deliveries", bodies.size(), inbox.letters().size());
            equal("out of order", List.of(), order.faults());
        }
    }

    private static void unsubscribe() throws Exception {
        String parent = parent();
        Inbox inbox = new Inbox();
        try (Producer producer = producer(parent); Listening consumer = consumer(group(parent), parent, inbox)) {
            consumer.client().subscribeLite("a");
            consumer.client().subscribeLite("b");
            inbox.awaitBodies(List.of(send(producer, parent, "a", 0), send(producer, parent, "b", 0)), PATIENCE);
            consumer.client().unsubscribeLite("a");
            send(producer, parent, "a", 1);
            inbox.awaitBodies(List.of(send(producer, parent, "b", 1)), PATIENCE);
            inbox.expectSilence(Duration.ofSeconds(2));
            equal("messages of a", 1, inbox.count(letter -> letter.body().startsWith("a-")));
            consumer.client().subscribeLite("a", OffsetOption.MIN_OFFSET);
            inbox.awaitBodies(List.of("a-1"), PATIENCE);
        }
    }

    private static void exclusive() throws Exception {
        String parent = parent();
        String group = group(parent, "lite.sub.model=Exclusive");
        Inbox first = new Inbox();
        Inbox second = new Inbox();
        try (Producer producer = producer(parent);
                Listening loser = consumer(group, parent, first);
                Listening winner = consumer(group, parent, second)) {
            loser.client().subscribeLite("a");
            first.awaitBodies(List.of(send(producer, parent, "a", 0)), PATIENCE);
            winner.client().subscribeLite("a");
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (loser.client().getLiteTopicSet().contains("a") && System.nanoTime() < deadline) {
                Thread.sleep(20);
            }
            that("the loser was told", !loser.client().getLiteTopicSet().contains("a"));
            second.awaitBodies(List.of(send(producer, parent, "a", 1)), PATIENCE);
            equal("the loser's messages", 1, first.letters().size());
        }
    }

    private static void quota() throws Exception {
        String parent = parent();
        String group = group(parent, "lite.sub.client.quota=2");
        try (Listening consumer = consumer(group, parent, new Inbox())) {
            consumer.client().subscribeLite("a");
            consumer.client().subscribeLite("b");
            try {
                consumer.client().subscribeLite("c");
            } catch (LiteSubscriptionQuotaExceededException expected) {
                return;
            }
            throw new AssertionError("a third subscription was taken");
        }
    }

    private static void badInput() throws Exception {
        String parent = parent();
        String plain = Harness.unique("plain");
        Harness.operator("topic " + plain + " NORMAL 1");
        try (Producer producer = producer(parent)) {
            refused(40014, () -> producer.send(Clients.message(parent, "x")));
            refused(40014, () -> send(producer, plain, "a", 0));
            refused(40020, () -> send(producer, parent, "a.b", 0));
            refused(40020, () -> send(producer, parent, "x".repeat(65), 0));
        }
    }

    private interface Attempt {
        void run() throws Exception;
    }

    /** The client's own checks may come first. */
    private static void refused(int code, Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (IllegalArgumentException ownCheck) {
            return;
        } catch (ClientException failed) {
            that("code " + code + " in: " + failed, failed.toString().contains(String.valueOf(code)));
            return;
        }
        throw new AssertionError("what should be refused with " + code + " was taken");
    }

    private static void restart() throws Exception {
        String parent = parent();
        Inbox inbox = new Inbox();
        String group = group(parent);
        try (Producer producer = producer(parent); Listening consumer = consumer(group, parent, inbox)) {
            consumer.client().subscribeLite("a");
            inbox.awaitBodies(List.of(send(producer, parent, "a", 0)), PATIENCE);
            Harness.restart(Harness.Restart.graceful);
            String body = null;
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (body == null && System.nanoTime() < deadline) {
                try {
                    body = send(producer, parent, "a", 1);
                } catch (Exception away) {
                    // The client wraps what the transport says, or not.
                    Thread.sleep(200);
                }
            }
            // Clients repeat what they subscribe to every 30 s.
            inbox.awaitBodies(List.of("a-1"), PATIENCE);
            equal("deliveries of the first", 1, inbox.count(letter -> letter.body().equals("a-0")));
        }
    }

    /** The operator asks with the official tools' library. */
    private static void admin() throws Exception {
        String parent = parent();
        String group = group(parent);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(parent); Listening consumer = consumer(group, parent, inbox)) {
            consumer.client().subscribeLite("a");
            inbox.awaitBodies(List.of(send(producer, parent, "a", 0)), PATIENCE);
            send(producer, parent, "b", 0);
            Harness.operator("lite-check " + parent + " a " + group + " 2");
        }
    }
}
