package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.impatient;
import static remoting.Clients.letter;
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
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Batches: those that the application makes, those that the client makes, those that the server keeps whole. */
@SuppressWarnings("deprecation")
final class Batched {
    private Batched() {
    }

    static void addTo(Harness harness) {
        harness.add("batch-kept", Batched::kept)
            .add("batch-kept-retry", Batched::keptRetry)
            .add("batch-kept-pop", Batched::keptPop)
            .add("batch-kept-offsets", Batched::keptOffsets)
            .add("batch-auto", () -> auto("SimpleCQ"))
            .add("batch-auto-kept", () -> auto("BatchCQ"))
            .add("batch-mixed-topics", Batched::mixedTopics)
            .add("compressed-lz4", () -> compressed(CompressionType.LZ4))
            .add("compressed-zstd", () -> compressed(CompressionType.ZSTD))
            .add("dedup", Batched::dedup);
    }

    private static String batchTopic(int queues) throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " NORMAL " + queues + " queue.type=BatchCQ");
        return topic;
    }

    private static List<Message> messages(String topic, List<String> bodies) {
        List<Message> messages = new ArrayList<>();
        for (String body : bodies) {
            messages.add(message(topic, messages.size() % 2 == 0 ? "even" : "odd", body));
        }
        return messages;
    }

    /** One record, and yet every message is received by itself, also by tag. */
    private static void kept() throws Exception {
        String topic = batchTopic(2);
        DefaultMQProducer producer = producer();
        SendResult result = producer.send(messages(topic, bodies("kept", 10)));
        that("one id for all: " + result.getMsgId(), !result.getMsgId().contains(","));
        that("one place for all: " + result.getOffsetMsgId(), !result.getOffsetMsgId().contains(","));
        producer.send(message(topic, "alone"));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(bodies("kept", 10), PATIENCE);
        inbox.awaitBodies(List.of("alone"), PATIENCE);
        eachOnce(bodies("kept", 10), inbox);
        equal("distinct ids", 11, (int) inbox.letters().stream().map(Letter::id).distinct().count());
        consumer.shutdown();
        Inbox odd = new Inbox();
        DefaultMQPushConsumer choosy = Clients.consumer(Harness.group(), topic, "odd", odd, letter -> true);
        odd.awaitBodies(List.of("kept-1", "kept-3", "kept-5", "kept-7", "kept-9"), PATIENCE);
        equal("odd ones only", 5, odd.letters().size());
        choosy.shutdown();
        producer.shutdown();
    }

    /** Only the message that failed comes again. */
    private static void keptRetry() throws Exception {
        String topic = batchTopic(1);
        DefaultMQProducer producer = producer();
        producer.send(messages(topic, bodies("kept", 5)));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, "*", inbox,
            letter -> !letter.body().equals("kept-3") || letter.attempt() > 1);
        inbox.await(6, PATIENCE);
        inbox.expectSilence(java.time.Duration.ofSeconds(2));
        equal("deliveries of kept-3", 2, inbox.deliveries().get("kept-3"));
        equal("all", 6, inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    private static void keptPop() throws Exception {
        String topic = batchTopic(1);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        producer.send(messages(topic, bodies("kept", 10)));
        Harness.operator("pop-mode " + topic + " " + group);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.unstartedConsumer(group, topic, "*", inbox, letter -> true);
        consumer.setClientRebalance(false);
        consumer.start();
        inbox.awaitBodies(bodies("kept", 10), PATIENCE);
        inbox.expectSilence(java.time.Duration.ofSeconds(2));
        eachOnce(bodies("kept", 10), inbox);
        consumer.shutdown();
        producer.shutdown();
    }

    /** The queue's offsets count messages, not records. */
    private static void keptOffsets() throws Exception {
        String topic = batchTopic(1);
        DefaultMQProducer producer = producer();
        for (int batch = 0; batch < 3; batch++) {
            SendResult result = producer.send(messages(topic, bodies("b" + batch, 4)));
            equal("first offset", 4L * batch, result.getQueueOffset());
        }
        DefaultMQPullConsumer consumer = Pulling.pullConsumer(Harness.group());
        MessageQueue queue = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        equal("max", 12L, consumer.maxOffset(queue));
        PullResult all = consumer.pull(queue, "*", 0, 32);
        equal("next", 12L, all.getNextBeginOffset());
        List<Long> offsets = all.getMsgFoundList().stream().map(MessageExt::getQueueOffset).toList();
        equal("offsets", java.util.stream.LongStream.range(0, 12).boxed().toList(), offsets);
        PullResult middle = consumer.pull(queue, "*", 6, 32);
        equal("from the middle of a batch", "b1-2", letter(middle.getMsgFoundList().get(0)).body());
        String id = all.getMsgFoundList().get(5).getMsgId();
        equal("found by its id", "b1-1", letter(consumer.viewMessage(topic, id)).body());
        consumer.shutdown();
        producer.shutdown();
    }

    /** The client gathers single sends by itself; each is answered with a place of its own. */
    private static void auto(String queueType) throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " NORMAL 1 queue.type=" + queueType);
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), Clients.hook());
        impatient(producer);
        producer.setAutoBatch(true);
        producer.batchMaxDelayMs(50);
        producer.start();
        List<CompletableFuture<SendResult>> answers = new ArrayList<>();
        for (String body : bodies("auto", 100)) {
            CompletableFuture<SendResult> answer = new CompletableFuture<>();
            answers.add(answer);
            producer.send(message(topic, body), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    answer.complete(result);
                }

                @Override
                public void onException(Throwable failure) {
                    answer.completeExceptionally(failure);
                }
            });
        }
        Set<Long> offsets = new HashSet<>();
        for (CompletableFuture<SendResult> answer : answers) {
            offsets.add(answer.get(30, TimeUnit.SECONDS).getQueueOffset());
        }
        // For a batch that the server keeps, this client gives every message the batch's place.
        that("offsets: " + offsets, queueType.equals("BatchCQ") || offsets.size() == 100);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(bodies("auto", 100), PATIENCE);
        eachOnce(bodies("auto", 100), inbox);
        consumer.shutdown();
        producer.shutdown();
    }

    private static void mixedTopics() throws Exception {
        String one = Harness.topic(1);
        String other = Harness.topic(1);
        DefaultMQProducer producer = producer();
        try {
            producer.send(List.of(message(one, "a"), message(other, "b")));
            throw new AssertionError("a batch of two topics was taken");
        } catch (MQClientException refused) {
            that("says why: " + refused.getCause(), refused.getCause() instanceof UnsupportedOperationException);
        }
        producer.shutdown();
    }

    private static void compressed(CompressionType type) throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        producer.setCompressType(type);
        String large = "squeeze me ".repeat(2_000);
        producer.send(message(topic, large));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(List.of(large), PATIENCE);
        consumer.shutdown();
        DefaultMQPullConsumer puller = Pulling.pullConsumer(Harness.group());
        MessageQueue queue = puller.fetchSubscribeMessageQueues(topic).iterator().next();
        MessageExt stored = puller.pull(queue, "*", 0, 1).getMsgFoundList().get(0);
        // This client takes the flag off when it opens the body, and leaves the kind.
        equal("how it is compressed", type.getCompressionFlag(), stored.getSysFlag() & 0x700);
        that("stored small: " + stored.getStoreSize(), stored.getStoreSize() < 4_000);
        puller.shutdown();
        producer.shutdown();
    }

    /** An addition of Apogee's: what is sent twice within the window is stored once. */
    private static void dedup() throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " NORMAL 1 apogee.dedup.window.ms=600000 apogee.dedup.by=key");
        DefaultMQProducer producer = producer();
        SendResult first = producer.send(keyed(topic, "order-1", "once"));
        SendResult again = producer.send(keyed(topic, "order-1", "twice"));
        SendResult other = producer.send(keyed(topic, "order-2", "another"));
        equal("place of the repeated one", first.getOffsetMsgId(), again.getOffsetMsgId());
        equal("its offset", first.getQueueOffset(), again.getQueueOffset());
        equal("the next offset", first.getQueueOffset() + 1, other.getQueueOffset());
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(List.of("once", "another"), PATIENCE);
        equal("stored", 2, inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    private static Message keyed(String topic, String key, String body) {
        Message message = message(topic, body);
        message.setKeys(key);
        return message;
    }
}
