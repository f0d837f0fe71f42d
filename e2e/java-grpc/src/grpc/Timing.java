package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import kit.Harness;
import kit.Inbox;
import kit.Lateness;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.java.exception.InternalErrorException;
import org.apache.rocketmq.client.java.exception.BadRequestException;

/** Timed messages, and their recall. */
final class Timing {
    private static final int COUNT = 20;
    /** A push consumer hears of a message by its long poll; the machine is busy. */
    private static final long ROUND_TRIP_MS = 3_000;

    private Timing() {
    }

    static void addTo(Harness harness) {
        harness.add("timed-deliver", Timing::deliver)
            .add("timed-far", Timing::far)
            .add("timed-recall", Timing::recall)
            .add("timed-recall-illegal", Timing::illegal)
            .addAlone("timed-thousand", Timing::thousand)
            .add("timed-restart-kill", Timing::restart);
    }

    static String topic(int queues) throws Exception {
        String name = Harness.unique("timed");
        Harness.operator("topic " + name + " DELAY " + queues);
        return name;
    }

    private static SendReceipt send(Producer producer, String topic, String body, long dueMs) throws ClientException {
        return producer.send(Clients.unbuilt(topic, body).setDeliveryTimestamp(dueMs).build());
    }

    private static Listening listen(String topic, Inbox inbox, Map<String, Long> times) throws Exception {
        return pushConsumer(Harness.group(), topic, "*", inbox, letter -> {
            times.put(letter.body(), System.currentTimeMillis());
            return true;
        });
    }

    private static void deliver() throws Exception {
        String topic = topic(2);
        Inbox inbox = new Inbox();
        Map<String, Long> times = new ConcurrentHashMap<>();
        try (Producer producer = producer(topic); Listening consumer = listen(topic, inbox, times)) {
            long start = System.currentTimeMillis();
            for (int number = 0; number < COUNT; number++) {
                send(producer, topic, "later-" + number, start + 4_000 + number * 137);
            }
            send(producer, topic, "past", start - 1_000);
            inbox.awaitBodies(bodies("later", COUNT), PATIENCE);
            eachOnce(bodies("later", COUNT), inbox);
            Lateness received = new Lateness();
            for (int number = 0; number < COUNT; number++) {
                received.add(start + 4_000 + number * 137, times.get("later-" + number));
            }
            received.expect("at the consumer", ROUND_TRIP_MS);
            equal("what was due already came before", "past", inbox.letters().get(0).body());
        }
    }

    /** Any distance up to the bound; RocketMQ's proxy allows a day. */
    private static void far() throws Exception {
        String topic = topic(1);
        long year = 365L * 86_400_000;
        try (Producer producer = producer(topic)) {
            send(producer, topic, "in ten years", System.currentTimeMillis() + 10 * year);
            try {
                send(producer, topic, "in 101 years", System.currentTimeMillis() + 101 * year);
                throw new AssertionError("accepted");
            } catch (BadRequestException refused) {
                that(refused.toString(), refused.getMessage().contains("response-code=40012"));
            }
        }
    }

    private static void recall() throws Exception {
        String topic = topic(2);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic); Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            long due = System.currentTimeMillis() + 6_000;
            for (int number = 0; number < COUNT; number++) {
                SendReceipt gone = send(producer, topic, "gone-" + number, due);
                send(producer, topic, "kept-" + number, due);
                equal("the id of what was recalled", gone.getMessageId(),
                    producer.recallMessage(topic, gone.getRecallHandle()).getMessageId());
            }
            inbox.awaitBodies(bodies("kept", COUNT), PATIENCE);
            inbox.expectSilence(Duration.ofSeconds(4));
            eachOnce(bodies("kept", COUNT), inbox);
            equal("recalled and delivered", 0, inbox.countOf("gone"));
        }
    }

    private static void illegal() throws Exception {
        String topic = topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic); Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            SendReceipt sent = send(producer, topic, "soon", System.currentTimeMillis() + 1_000);
            String handle =
                new String(Base64.getUrlDecoder().decode(sent.getRecallHandle()), StandardCharsets.UTF_8);
            that("the handle names version and topic: " + handle, handle.startsWith("v1 " + topic + " "));
            inbox.await(1, PATIENCE);
            expectRefusal("too late", producer, topic, sent.getRecallHandle());
            expectRefusal("no handle", producer, topic, "this is none");
        }
    }

    /** The code that the original's proxy has for all that its broker refuses. */
    private static void expectRefusal(String what, Producer producer, String topic, String handle)
            throws ClientException {
        try {
            throw new AssertionError(what + ": recalled " + producer.recallMessage(topic, handle).getMessageId());
        } catch (InternalErrorException refused) {
            that(what + ": " + refused, refused.getMessage().contains("response-code=50001"));
        }
    }

    private static void thousand() throws Exception {
        int count = 1_000;
        String topic = topic(4);
        Inbox inbox = new Inbox();
        Map<String, Long> times = new ConcurrentHashMap<>();
        try (Producer producer = producer(topic); Listening consumer = listen(topic, inbox, times)) {
            long begin = System.currentTimeMillis() + 10_000;
            for (int number = 0; number < count; number++) {
                send(producer, topic, "soon-" + number, begin + number * 30_000L / count);
            }
            that("all were sent before the first was due", System.currentTimeMillis() < begin);
            inbox.awaitBodies(bodies("soon", count), PATIENCE.plusSeconds(30));
            eachOnce(bodies("soon", count), inbox);
            Lateness received = new Lateness();
            for (int number = 0; number < count; number++) {
                received.add(begin + number * 30_000L / count, times.get("soon-" + number));
            }
            received.expect("at the consumer", ROUND_TRIP_MS);
        }
    }

    private static void restart() throws Exception {
        String topic = topic(2);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic); Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            long begin = System.currentTimeMillis() + 2_000;
            for (int number = 0; number < 150; number++) {
                send(producer, topic, "across-" + number, begin + number * 60L);
            }
            inbox.await(20, PATIENCE);
            Harness.restart(Harness.Restart.kill);
            inbox.awaitBodies(bodies("across", 150), Duration.ofSeconds(150));
        }
    }
}
