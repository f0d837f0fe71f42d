package cross;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageBatch;
import org.apache.rocketmq.common.message.MessageClientIDSetter;

/** Kinds of message that one protocol writes and both read; progress that is set back while 5.x consumes. */
final class Kinds {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final String ALL = "TRUE";

    private Kinds() {
    }

    static void addTo(Harness harness) {
        harness.add("cross-batch-kept", Kinds::batchKept).add("cross-reset-online", Kinds::resetOnline);
    }

    /** Stored as one record; whoever cannot take it apart gets single messages. */
    private static void batchKept() throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " NORMAL 2 queue.type=BatchCQ");
        DefaultMQProducer producer = Remoting.producer();
        List<Message> messages = new ArrayList<>();
        for (String body : bodies("kept", 20)) {
            Message message = new Message(topic, body.getBytes(StandardCharsets.UTF_8));
            MessageClientIDSetter.setUniqID(message);
            messages.add(message);
        }
        // A 4.9 client gives a batch no id of its own; with one it is kept whole, as a 5.x client's is.
        MessageBatch batch = MessageBatch.generateFromList(messages);
        MessageClientIDSetter.setUniqID(batch);
        batch.setBody(batch.encode());
        equal("one place for all", false, producer.send(batch).getOffsetMsgId().contains(","));
        Inbox four = new Inbox();
        Inbox five = new Inbox();
        DefaultMQPushConsumer old = Remoting.consumer(Harness.group(), topic, four);
        AutoCloseable young = Grpc.listen(Harness.group(), topic, ALL, five);
        four.awaitBodies(bodies("kept", 20), PATIENCE);
        five.awaitBodies(bodies("kept", 20), PATIENCE);
        eachOnce(bodies("kept", 20), four);
        eachOnce(bodies("kept", 20), five);
        equal("ids in 5.x", 20L, five.letters().stream().map(letter -> letter.id()).distinct().count());
        young.close();
        old.shutdown();
        producer.shutdown();
    }

    /** A 5.x consumer that is there gets everything again. */
    private static void resetOnline() throws Exception {
        String topic = Harness.topic(2);
        String group = Harness.group();
        DefaultMQProducer producer = Remoting.producer();
        Inbox inbox = new Inbox();
        AutoCloseable consumer = Grpc.listen(group, topic, ALL, inbox);
        for (String body : bodies("again", 10)) {
            producer.send(new Message(topic, body.getBytes(StandardCharsets.UTF_8)));
        }
        inbox.await(10, PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(1));
        Harness.operator("reset " + topic + " " + group);
        inbox.await(20, PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(1));
        for (String body : bodies("again", 10)) {
            equal("deliveries of " + body, 2, inbox.deliveries().get(body));
        }
        consumer.close();
        producer.shutdown();
    }
}
