package grpc;

import static grpc.Clients.INVISIBLE;
import static grpc.Clients.PATIENCE;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.simpleConsumer;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import kit.Inbox;
import kit.KeyOrder;
import kit.Letter;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Groups that are delivered in order; bodies are `key-number`. */
final class Ordering {
    private Ordering() {
    }

    static void addTo(Harness harness) {
        harness.add("fifo-push", Ordering::push)
            .add("fifo-slow-key", Ordering::slowKey)
            .add("fifo-retry", Ordering::retry)
            .add("fifo-simple", Ordering::simple)
            .add("fifo-restart-kill", () -> restart(Harness.Restart.kill))
            .addAlone("fifo-crowd", Ordering::crowd)
            .add("priority", Ordering::priority);
    }

    private static String topic(int queues) throws Exception {
        String name = Harness.unique("fifo");
        Harness.operator("topic " + name + " FIFO " + queues);
        return name;
    }

    private static String group(String... options) throws Exception {
        List<String> all = new ArrayList<>(List.of(options));
        all.add("orderly=1");
        return Harness.group(all.toArray(new String[0]));
    }

    private static String send(Producer producer, String topic, String key, int number) throws Exception {
        String body = key + "-" + number;
        producer.send(Clients.unbuilt(topic, body).setMessageGroup(key).build());
        return body;
    }

    private static void push() throws Exception {
        String topic = topic(2);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(group(), topic, inbox)) {
            List<String> bodies = new ArrayList<>();
            for (int number = 0; number < 10; number++) {
                for (int key = 0; key < 8; key++) {
                    bodies.add(send(producer, topic, "key" + key, number));
                }
            }
            inbox.awaitBodies(bodies, PATIENCE);
            KeyOrder order = new KeyOrder();
            inbox.letters().forEach(letter -> order.consumed(letter.body()));
            equal("deliveries", bodies.size(), inbox.letters().size());
            equal("out of order", List.of(), order.faults());
        }
    }

    /** All keys share one queue; one of them hangs. */
    private static void slowKey() throws Exception {
        String topic = topic(1);
        Inbox inbox = new Inbox();
        CountDownLatch release = new CountDownLatch(1);
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(group(), topic, "*", inbox, letter -> {
                    if (letter.body().equals("slow-0")) {
                        awaitQuietly(release);
                    }
                    return true;
                })) {
            send(producer, topic, "slow", 0);
            send(producer, topic, "slow", 1);
            List<String> others = new ArrayList<>();
            for (int number = 0; number < 5; number++) {
                for (int key = 0; key < 4; key++) {
                    others.add(send(producer, topic, "quick" + key, number));
                }
            }
            send(producer, topic, "slow", 2);
            inbox.awaitBodies(others, Duration.ofSeconds(20));
            equal("slow ones before the release", 0, inbox.countOf("slow"));
            release.countDown();
            inbox.awaitBodies(List.of("slow-0", "slow-1", "slow-2"), PATIENCE);
            KeyOrder order = new KeyOrder();
            inbox.letters().forEach(letter -> order.consumed(letter.body()));
            equal("out of order", List.of(), order.faults());
        } finally {
            release.countDown();
        }
    }

    private static void awaitQuietly(CountDownLatch latch) {
        try {
            latch.await(60, TimeUnit.SECONDS);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    /** A message that always fails is tried as often as the group says, and then lets its key go on. */
    private static void retry() throws Exception {
        String topic = topic(1);
        String group = group("retries=2", "step-ms=1000");
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer =
                    pushConsumer(group, topic, "*", inbox, letter -> !letter.body().equals("bad-0"))) {
            send(producer, topic, "bad", 0);
            send(producer, topic, "bad", 1);
            send(producer, topic, "good", 0);
            send(producer, topic, "bad", 2);
            inbox.awaitBodies(List.of("good-0", "bad-0", "bad-1", "bad-2"), PATIENCE);
            List<String> bad = new ArrayList<>();
            for (Letter letter : inbox.letters()) {
                if (letter.body().startsWith("bad")) {
                    bad.add(letter.body() + " " + letter.attempt());
                }
            }
            equal("attempts", List.of("bad-0 1", "bad-0 2", "bad-0 3", "bad-1 1", "bad-2 1"), bad);
            that("the good key did not wait", inbox.letters().indexOf(find(inbox, "good-0")) < 3);
            String deadLetters = "%DLQ%" + group;
            Harness.operator("await-topic " + deadLetters);
            try (SimpleConsumer reader = simpleConsumer(Harness.group(), deadLetters)) {
                MessageView dead = Clients.receiveOne(reader);
                reader.ack(dead);
                equal("dead letter", "bad-0", Clients.letter(dead).body());
            }
        }
    }

    private static Letter find(Inbox inbox, String body) {
        return inbox.letters().stream().filter(letter -> letter.body().equals(body)).findFirst().orElseThrow();
    }

    /** What is not acknowledged keeps its key back, and comes again before the rest of it. */
    private static void simple() throws Exception {
        String topic = topic(1);
        String group = group();
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(group, topic, Duration.ofSeconds(5))) {
            send(producer, topic, "held", 0);
            send(producer, topic, "held", 1);
            send(producer, topic, "free", 0);
            MessageView held = Clients.receiveOne(consumer);
            equal("first", "held-0", Clients.letter(held).body());
            long received = System.nanoTime();
            MessageView free = Clients.receiveOne(consumer);
            equal("the other key", "free-0", Clients.letter(free).body());
            consumer.ack(free);
            List<MessageView> again = Clients.receiveSome(consumer, 16);
            long hiddenMs = (System.nanoTime() - received) / 1_000_000;
            that("hidden for " + hiddenMs + " ms", hiddenMs >= INVISIBLE.toMillis() - 1_000);
            equal("again", "held-0", Clients.letter(again.get(0)).body());
            equal("attempt", 2, again.get(0).getDeliveryAttempt());
            List<String> bodies = new ArrayList<>();
            for (MessageView message : again) {
                consumer.ack(message);
                bodies.add(Clients.letter(message).body());
            }
            if (bodies.size() == 1) {
                MessageView last = Clients.receiveOne(consumer);
                consumer.ack(last);
                bodies.add(Clients.letter(last).body());
            }
            equal("the key", List.of("held-0", "held-1"), bodies);
        }
    }

    /** Order holds over the death of the server. What was being consumed then may come twice. */
    private static void restart(Harness.Restart how) throws Exception {
        String topic = topic(2);
        KeyOrder order = new KeyOrder();
        Inbox inbox = new Inbox();
        List<String> sent = new ArrayList<>();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(group(), topic, "*", inbox, letter -> {
                    order.consumed(letter.body());
                    return true;
                })) {
            for (int number = 0; number < 20; number++) {
                for (int key = 0; key < 4; key++) {
                    sent.add(send(producer, topic, "key" + key, number));
                }
            }
            inbox.await(10, PATIENCE);
            Harness.restart(how);
            for (int number = 20; number < 25; number++) {
                for (int key = 0; key < 4; key++) {
                    sent.add(sendUntilTaken(producer, topic, "key" + key, number));
                }
            }
            inbox.awaitBodies(sent, Duration.ofSeconds(120));
            equal("out of order", List.of(), order.faults());
        }
    }

    /** A send whose answer was lost may stand there twice; the order of the first ones counts. */
    private static String sendUntilTaken(Producer producer, String topic, String key, int number) throws Exception {
        long end = System.nanoTime() + Duration.ofSeconds(60).toNanos();
        while (true) {
            try {
                return send(producer, topic, key, number);
            } catch (Exception refused) {
                if (System.nanoTime() > end) {
                    throw refused;
                }
                Thread.sleep(200);
            }
        }
    }

    /** 200 keys, 20 consumers that come and go, random failures. */
    private static void crowd() throws Exception {
        int keys = 200;
        int each = 10;
        int consumers = 20;
        String topic = topic(4);
        String group = group("retries=16", "step-ms=200");
        KeyOrder order = new KeyOrder();
        Inbox inbox = new Inbox();
        Random random = new Random(7);
        List<Listening> there = new ArrayList<>();
        Map<String, Integer> failures = new HashMap<>();
        try (Producer producer = producer(topic)) {
            List<String> sent = new ArrayList<>();
            for (int joined = 0; joined < consumers; joined++) {
                if (there.size() >= 8) {
                    there.remove(random.nextInt(there.size())).close();
                }
                there.add(pushConsumer(group, topic, "*", inbox, letter -> {
                    synchronized (failures) {
                        // Some fail once or twice, then they succeed.
                        boolean fails = Math.floorMod(letter.body().hashCode(), 5) == 0
                            && failures.merge(letter.body(), 1, Integer::sum) <= 2;
                        if (fails) {
                            order.seen(letter.body());
                            return false;
                        }
                    }
                    order.consumed(letter.body());
                    return true;
                }));
                for (int key = joined * keys / consumers; key < (joined + 1) * keys / consumers; key++) {
                    for (int number = 0; number < each; number++) {
                        sent.add(send(producer, topic, "key" + key, number));
                    }
                }
            }
            order.await(keys * each, Duration.ofSeconds(90));
            inbox.awaitBodies(sent, PATIENCE);
            equal("out of order", List.of(), order.faults());
        } finally {
            there.forEach(Listening::close);
        }
    }

    /** The most urgent come first, whenever they were sent. */
    private static void priority() throws Exception {
        String topic = Harness.unique("priority");
        Harness.operator("topic " + topic + " PRIORITY 4");
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            for (int number = 0; number < 12; number++) {
                producer.send(Clients.unbuilt(topic, "urgency-" + number % 4).setPriority(number % 4).build());
            }
            List<String> bodies = new ArrayList<>();
            while (bodies.size() < 12) {
                for (MessageView message : Clients.receiveSome(consumer, 16)) {
                    bodies.add(Clients.letter(message).body());
                    equal("priority of " + message, true, message.getPriority().isPresent());
                    consumer.ack(message);
                }
            }
            List<String> expected = new ArrayList<>();
            for (int urgency = 3; urgency >= 0; urgency--) {
                for (int count = 0; count < 3; count++) {
                    expected.add("urgency-" + urgency);
                }
            }
            equal("order", expected, bodies);
        }
    }
}
