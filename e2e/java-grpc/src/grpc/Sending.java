package grpc;

import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.simpleConsumer;
import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;

/** Both ways of sending; what was sent is then received. */
final class Sending {
    private static final int COUNT = 20;

    private Sending() {
    }

    static void addTo(Harness harness) {
        harness.add("send-sync", Sending::sync)
            .add("send-async", Sending::async)
            .add("send-large-body", Sending::largeBody)
            .add("round-trip", Sending::roundTrip);
    }

    private static void sync() throws Exception {
        String topic = Harness.topic(4);
        Set<String> ids = new HashSet<>();
        try (Producer producer = producer(topic)) {
            for (String body : bodies("sync", COUNT)) {
                ids.add(producer.send(message(topic, body)).getMessageId().toString());
            }
        }
        equal("distinct ids", COUNT, ids.size());
        Inbox inbox = received(topic, bodies("sync", COUNT));
        inbox.letters().forEach(letter -> that("id was given at the send", ids.contains(letter.id())));
    }

    private static void async() throws Exception {
        String topic = Harness.topic(4);
        try (Producer producer = producer(topic)) {
            List<CompletableFuture<SendReceipt>> receipts = new ArrayList<>();
            for (String body : bodies("async", COUNT)) {
                receipts.add(producer.sendAsync(message(topic, body)));
            }
            for (CompletableFuture<SendReceipt> receipt : receipts) {
                receipt.get(20, TimeUnit.SECONDS);
            }
        }
        received(topic, bodies("async", COUNT));
    }

    /** Larger than the client's threshold, so it travels compressed. */
    private static void largeBody() throws Exception {
        String topic = Harness.topic(1);
        String large = "0123456789".repeat(100_000);
        try (Producer producer = producer(topic)) {
            producer.send(message(topic, large));
        }
        received(topic, List.of(large));
    }

    private static void roundTrip() throws Exception {
        String topic = Harness.topic(1);
        String id;
        try (Producer producer = producer(topic)) {
            id = producer.send(Clients.unbuilt(topic, "Grüße, 世界")
                .setTag("colour")
                .setKeys("key-1", "key-2")
                .addProperty("shape", "round")
                .addProperty("city", "Zürich")
                .build()).getMessageId().toString();
        }
        try (SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            MessageView message = Clients.receiveOne(consumer);
            consumer.ack(message);
            expectUnchanged(Clients.letter(message), id);
            equal("topic", topic, message.getTopic());
            that("born time", Math.abs(System.currentTimeMillis() - message.getBornTimestamp()) < 60_000);
            that("body can be read again",
                StandardCharsets.UTF_8.decode(message.getBody()).toString().equals("Grüße, 世界"));
        }
        Inbox inbox = new Inbox();
        try (Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            expectUnchanged(inbox.await(1, Clients.PATIENCE).get(0), id);
        }
    }

    private static void expectUnchanged(Letter letter, String id) {
        equal("body", "Grüße, 世界", letter.body());
        equal("tag", "colour", letter.tag());
        equal("keys", Set.of("key-1", "key-2"), letter.keys());
        equal("shape", "round", letter.properties().get("shape"));
        equal("city", "Zürich", letter.properties().get("city"));
        equal("id", id, letter.id());
        equal("attempt", 1, letter.attempt());
    }

    private static Inbox received(String topic, List<String> bodies) throws Exception {
        Inbox inbox = new Inbox();
        try (SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            Clients.drain(consumer, inbox, bodies);
        }
        eachOnce(bodies, inbox);
        return inbox;
    }
}
