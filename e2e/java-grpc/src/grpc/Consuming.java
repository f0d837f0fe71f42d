package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.sender;
import static grpc.Clients.simpleConsumer;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;

import grpc.Clients.Listening;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import kit.Inbox;
import kit.Waking;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** What one consumer sees when all goes well. */
final class Consuming {
    private Consuming() {
    }

    static void addTo(Harness harness) {
        harness.add("push-consume", Consuming::push)
            .add("simple-consume", Consuming::simple)
            .add("tag-filter", Consuming::tagFilter)
            .add("long-poll", Consuming::longPoll)
            .add("long-poll-push", Consuming::longPollPush)
            .add("push-renew", Consuming::pushRenew);
    }

    /** What was acknowledged does not come again to the group's next consumer. */
    private static void push() throws Exception {
        String topic = Harness.topic(4);
        String group = Harness.group();
        Inbox first = new Inbox();
        Inbox second = new Inbox();
        try (Producer producer = producer(topic)) {
            try (Listening consumer = pushConsumer(group, topic, first)) {
                List<String> early = sender(producer, topic).sendAll("early", 20);
                first.awaitBodies(early, PATIENCE);
                eachOnce(early, first);
                consumer.client().close();
            }
            try (Listening consumer = pushConsumer(group, topic, second)) {
                List<String> late = sender(producer, topic).sendAll("late", 20);
                second.awaitBodies(late, PATIENCE);
                eachOnce(late, second);
            }
        }
        equal("messages of the second consumer", 20, second.letters().size());
    }

    private static void simple() throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(Harness.group(), topic, Duration.ofSeconds(5))) {
            List<String> bodies = sender(producer, topic).sendAll("simple", 20);
            Clients.drain(consumer, inbox, bodies);
            eachOnce(bodies, inbox);
            // Nothing comes back after the invisible time has passed: everything was acknowledged.
            long end = System.nanoTime() + Clients.INVISIBLE.plusSeconds(4).toNanos();
            while (System.nanoTime() < end) {
                equal("received again", List.of(), consumer.receive(16, Clients.INVISIBLE));
            }
        }
    }

    private static void tagFilter() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic)) {
            for (String tag : List.of("red", "blue", "green", "blue", "red")) {
                producer.send(Clients.unbuilt(topic, tag).setTag(tag).build());
            }
            producer.send(message(topic, "untagged"));
            producer.send(Clients.unbuilt(topic, "last").setTag("green").build());
        }
        try (Listening consumer = pushConsumer(Harness.group(), topic, "red || green", inbox, letter -> true)) {
            inbox.await(4, PATIENCE);
            inbox.expectSilence(Duration.ofSeconds(1));
        }
        equal("red", 2, inbox.count(letter -> "red".equals(letter.tag())));
        equal("green", 2, inbox.count(letter -> "green".equals(letter.tag())));
    }

    /** A message wakes the waiting receiver at once: the poll itself would last ten seconds. */
    private static void longPoll() throws Exception {
        String topic = Harness.topic(1);
        try (Producer producer = producer(topic);
                SimpleConsumer consumer = simpleConsumer(Harness.group(), topic)) {
            producer.send(message(topic, "warm-up"));
            consumer.ack(Clients.receiveOne(consumer));
            for (int round = 0; round < 3; round++) {
                CompletableFuture<List<MessageView>> waiting = consumer.receiveAsync(1, Clients.INVISIBLE);
                expectPending(waiting);
                producer.send(message(topic, "wake-" + round));
                Waking waking = Waking.begin();
                List<MessageView> received = waiting.get(20, TimeUnit.SECONDS);
                waking.end();
                equal("received", 1, received.size());
                consumer.ack(received.get(0));
            }
        }
    }

    private static void longPollPush() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            producer.send(message(topic, "warm-up"));
            inbox.await(1, PATIENCE);
            for (int count = 2; count <= 4; count++) {
                inbox.expectSilence(Duration.ofMillis(1_500));
                producer.send(message(topic, "wake-" + count));
                Waking waking = Waking.begin();
                inbox.await(count, PATIENCE);
                waking.end();
            }
        }
    }

    /** A listener that works for longer than the minute that the server hides a message: it is hidden on. */
    private static void pushRenew() throws Exception {
        String topic = Harness.topic(1);
        Duration work = Duration.ofSeconds(75);
        Inbox begun = new Inbox();
        Inbox ended = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(Harness.group(), topic, "*", ended, letter -> {
                    begun.put(letter);
                    pause(work);
                    return true;
                })) {
            producer.send(message(topic, "slow"));
            ended.await(1, work.plus(PATIENCE));
            ended.expectSilence(Duration.ofSeconds(3));
        }
        equal("begun", 1, begun.letters().size());
        equal("attempt", 1, begun.letters().get(0).attempt());
    }

    /** What a listener does for so long. */
    private static void pause(Duration work) {
        try {
            Thread.sleep(work.toMillis());
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    /** The receive call must still be waiting after a while. */
    private static void expectPending(CompletableFuture<List<MessageView>> waiting) throws Exception {
        try {
            waiting.get(1_500, TimeUnit.MILLISECONDS);
        } catch (java.util.concurrent.TimeoutException pending) {
            return;
        }
        throw new AssertionError("the receive call did not wait");
    }
}
