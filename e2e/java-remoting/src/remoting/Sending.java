package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/** Every way of sending; what was sent is then received. */
final class Sending {
    private static final int COUNT = 20;

    private Sending() {
    }

    static void addTo(Harness harness) {
        harness.add("send-sync", Sending::sync)
            .add("send-async", Sending::async)
            .add("send-oneway", Sending::oneway)
            .add("send-batch", Sending::batch)
            .add("send-to-queue", Sending::toQueue)
            .add("send-creates-topic", Sending::createsTopic)
            .add("send-large-body", Sending::largeBody)
            .add("round-trip", Sending::roundTrip);
    }

    private static void sync() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        Set<String> ids = new HashSet<>();
        Set<String> places = new HashSet<>();
        for (String body : bodies("sync", COUNT)) {
            SendResult result = producer.send(message(topic, body));
            equal("status", SendStatus.SEND_OK, result.getSendStatus());
            ids.add(result.getMsgId());
            places.add(result.getMessageQueue().getQueueId() + ":" + result.getQueueOffset());
        }
        equal("distinct ids", COUNT, ids.size());
        equal("distinct places", COUNT, places.size());
        expectConsumed(topic, bodies("sync", COUNT));
        producer.shutdown();
    }

    private static void async() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        List<CompletableFuture<SendResult>> results = new ArrayList<>();
        for (String body : bodies("async", COUNT)) {
            CompletableFuture<SendResult> result = new CompletableFuture<>();
            results.add(result);
            producer.send(message(topic, body), completing(result));
        }
        for (CompletableFuture<SendResult> result : results) {
            equal("status", SendStatus.SEND_OK, result.get(20, TimeUnit.SECONDS).getSendStatus());
        }
        expectConsumed(topic, bodies("async", COUNT));
        producer.shutdown();
    }

    private static void oneway() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        for (String body : bodies("oneway", COUNT)) {
            producer.sendOneway(message(topic, body));
        }
        expectConsumed(topic, bodies("oneway", COUNT));
        producer.shutdown();
    }

    private static void batch() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        List<Message> messages = new ArrayList<>();
        bodies("batch", COUNT).forEach(body -> messages.add(message(topic, "in-batch", body)));
        equal("status", SendStatus.SEND_OK, producer.send(messages).getSendStatus());
        expectConsumed(topic, bodies("batch", COUNT));
        producer.shutdown();
    }

    private static void toQueue() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        for (int number = 0; number < 5; number++) {
            SendResult result = producer.send(message(topic, "selected-" + number),
                (queues, message, wanted) -> queues.stream()
                    .filter(queue -> queue.getQueueId() == (int) wanted).findFirst().orElseThrow(), 2);
            equal("queue", 2, result.getMessageQueue().getQueueId());
            equal("offset", (long) number, result.getQueueOffset());
        }
        producer.shutdown();
    }

    /** The first send to an unknown topic makes it, as 4.x producers are used to. */
    private static void createsTopic() throws Exception {
        String topic = Harness.unique("unmade");
        DefaultMQProducer producer = producer();
        equal("status", SendStatus.SEND_OK, producer.send(message(topic, "first-0")).getSendStatus());
        expectConsumed(topic, List.of("first-0"));
        producer.shutdown();
    }

    /** Larger than the client's threshold, so it travels compressed. */
    private static void largeBody() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        String large = "0123456789".repeat(100_000);
        producer.send(message(topic, large));
        expectConsumed(topic, List.of(large));
        producer.shutdown();
    }

    private static void roundTrip() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Message message = message(topic, "colour", "Grüße, 世界");
        message.setKeys(List.of("key-1", "key-2"));
        message.putUserProperty("shape", "round");
        message.putUserProperty("city", "Zürich");
        String id = producer.send(message).getMsgId();

        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Letter letter = inbox.await(1, PATIENCE).get(0);
        equal("body", "Grüße, 世界", letter.body());
        equal("tag", "colour", letter.tag());
        equal("keys", Set.of("key-1", "key-2"), letter.keys());
        equal("shape", "round", letter.properties().get("shape"));
        equal("city", "Zürich", letter.properties().get("city"));
        equal("id", id, letter.id());
        equal("attempt", 1, letter.attempt());
        consumer.shutdown();
        producer.shutdown();
    }

    private static void expectConsumed(String topic, List<String> bodies) throws Exception {
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(bodies, PATIENCE);
        consumer.shutdown();
        eachOnce(bodies, inbox);
    }

    private static SendCallback completing(CompletableFuture<SendResult> result) {
        return new SendCallback() {
            @Override
            public void onSuccess(SendResult sent) {
                result.complete(sent);
            }

            @Override
            public void onException(Throwable error) {
                result.completeExceptionally(error);
            }
        };
    }
}
