package cross;

import static kit.Expect.equal;
import static kit.Expect.that;

import java.time.Duration;
import java.util.Set;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** One stored message, two protocols: what one client sends, the other reads unchanged. */
public final class Main {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final String BODY = "Grüße, 世界";

    public static void main(String[] arguments) throws Exception {
        Harness harness = new Harness()
            .add("cross-same-message", Main::sameMessage)
            .add("cross-4-to-5", Main::fourToFive)
            .add("cross-5-to-4", Main::fiveToFour)
            .add("cross-there-and-back", Main::thereAndBack)
            .add("cross-dead-letter", Main::deadLetter);
        GreyLanes.addTo(harness);
        Kinds.addTo(harness);
        harness.run();
    }

    /** A push consumer of 4.x and a simple consumer of 5.x each get the same message. */
    private static void sameMessage() throws Exception {
        String topic = Harness.topic(4);
        Inbox four = new Inbox();
        DefaultMQPushConsumer consumer = Remoting.consumer(Harness.group(), topic, four);
        DefaultMQProducer producer = Remoting.producer();
        String id = Remoting.send(producer, topic, BODY);
        Letter old = four.await(1, PATIENCE).get(0);
        Letter young = Grpc.receiveOne(Harness.group(), topic);
        expectUnchanged(old);
        expectUnchanged(young);
        equal("id in 4.x", id, old.id());
        equal("id in 5.x", id, young.id());
        consumer.shutdown();
        producer.shutdown();
    }

    private static void fourToFive() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = Remoting.producer();
        String id = Remoting.send(producer, topic, BODY);
        Letter letter = Grpc.receiveOne(Harness.group(), topic);
        expectUnchanged(letter);
        equal("id", id, letter.id());
        producer.shutdown();
    }

    private static void fiveToFour() throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Remoting.consumer(Harness.group(), topic, inbox);
        try (Producer producer = Grpc.producer(topic)) {
            String id = Grpc.send(producer, topic, BODY);
            Letter letter = inbox.await(1, PATIENCE).get(0);
            expectUnchanged(letter);
            equal("id", id, letter.id());
        }
        consumer.shutdown();
    }

    /** 5.x to 4.x, which answers into another topic, from where 5.x reads. */
    private static void thereAndBack() throws Exception {
        String there = Harness.topic(1);
        String back = Harness.topic(1);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Remoting.consumer(Harness.group(), there, inbox);
        DefaultMQProducer answerer = Remoting.producer();
        try (Producer producer = Grpc.producer(there)) {
            Grpc.send(producer, there, BODY);
        }
        Remoting.forward(answerer, back, inbox.await(1, PATIENCE).get(0));
        expectUnchanged(Grpc.receiveOne(Harness.group(), back));
        consumer.shutdown();
        answerer.shutdown();
    }

    /** What a 4.x group gave up is read by 5.x. */
    private static void deadLetter() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group("retries=1");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Remoting.failingConsumer(group, topic, inbox);
        try (Producer producer = Grpc.producer(topic)) {
            Grpc.send(producer, topic, BODY);
        }
        inbox.await(2, PATIENCE);
        Harness.operator("await-topic %DLQ%" + group);
        Letter dead = Grpc.receiveOne(Harness.group(), "%DLQ%" + group);
        equal("body", BODY, dead.body());
        equal("tag", "colour", dead.tag());
        that("attempts: " + inbox.letters().size(), inbox.letters().size() == 2);
        consumer.shutdown();
    }

    private static void expectUnchanged(Letter letter) {
        equal("body", BODY, letter.body());
        equal("tag", "colour", letter.tag());
        equal("keys", Set.of("key-1", "key-2"), letter.keys());
        equal("shape", "round", letter.properties().get("shape"));
        equal("city", "Zürich", letter.properties().get("city"));
        equal("attempt", 1, letter.attempt());
    }
}
