package cross;

import static kit.Expect.equal;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** The walk of docs/grey-lanes.md: a grey release consumes its own lane, and everybody else's lane goes on as before. */
final class GreyLanes {
    /** As the page writes them. */
    private static final String GREY = "lane = 'grey'";
    private static final String BASE = "lane IS NULL OR lane <> 'grey'";
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private GreyLanes() {
    }

    static void addTo(Harness harness) {
        harness.add("grey-lanes", GreyLanes::walk);
    }

    private static void walk() throws Exception {
        String topic = Harness.topic(1);
        List<String> base = new ArrayList<>();
        List<String> grey = new ArrayList<>();
        Inbox base4 = new Inbox();
        Inbox grey4 = new Inbox();
        Inbox base5 = new Inbox();
        Inbox grey5 = new Inbox();
        // Each lane is a group of its own, in each protocol.
        DefaultMQPushConsumer base4Consumer = remoting(topic, BASE, base4);
        AutoCloseable base5Consumer = Grpc.listen(Harness.group(), topic, BASE, base5);

        // 1. Before the release nobody stamps anything: all is base.
        base.addAll(send(topic, "before", null));
        base4.awaitBodies(base, PATIENCE);
        base5.awaitBodies(base, PATIENCE);

        // 2. The grey release stands beside the base: producers stamp what belongs to it.
        DefaultMQPushConsumer grey4Consumer = remoting(topic, GREY, grey4);
        AutoCloseable grey5Consumer = Grpc.listen(Harness.group(), topic, GREY, grey5);
        grey.addAll(send(topic, "grey", "grey"));
        base.addAll(send(topic, "blue", "blue"));
        base.addAll(send(topic, "unstamped", null));
        for (Inbox inbox : List.of(grey4, grey5)) {
            inbox.awaitBodies(grey, PATIENCE);
        }
        for (Inbox inbox : List.of(base4, base5)) {
            inbox.awaitBodies(base, PATIENCE);
        }
        expectLane("base of 4.x", base, base4);
        expectLane("base of 5.x", base, base5);
        expectLane("grey of 4.x", grey, grey4);
        expectLane("grey of 5.x", grey, grey5);
        for (AutoCloseable consumer : List.of(base5Consumer, grey5Consumer)) {
            Grpc.leave(consumer);
        }
        base4Consumer.shutdown();
        grey4Consumer.shutdown();
    }

    /** Two messages of each protocol. */
    private static List<String> send(String topic, String word, String lane) throws Exception {
        List<String> bodies = new ArrayList<>();
        DefaultMQProducer producer = Remoting.producer();
        try (Producer young = Grpc.producer(topic)) {
            for (int number = 0; number < 2; number++) {
                Message message = new Message(topic, (word + "-4-" + number).getBytes(StandardCharsets.UTF_8));
                if (lane != null) {
                    message.putUserProperty("lane", lane);
                }
                producer.send(message);
                Grpc.send(young, topic, word + "-5-" + number, lane == null ? Map.of() : Map.of("lane", lane));
                bodies.add(word + "-4-" + number);
                bodies.add(word + "-5-" + number);
            }
        }
        producer.shutdown();
        return bodies;
    }

    /** Everything of the lane once, and nothing else. */
    private static void expectLane(String lane, List<String> bodies, Inbox inbox) throws Exception {
        inbox.expectSilence(Duration.ofMillis(200));
        equal(lane, new TreeSet<>(bodies), new TreeSet<>(inbox.deliveries().keySet()));
        kit.Expect.eachOnce(bodies, inbox);
    }

    private static DefaultMQPushConsumer remoting(String topic, String sql, Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = Remoting.unstarted(Harness.group(), inbox);
        consumer.subscribe(topic, MessageSelector.bySql(sql));
        consumer.start();
        return consumer;
    }
}
