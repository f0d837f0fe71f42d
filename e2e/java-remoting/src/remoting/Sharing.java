package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.util.ArrayList;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Sender;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** Several consumers of one group. */
final class Sharing {
    private static final int QUEUES = 4;

    private Sharing() {
    }

    static void addTo(Harness harness) {
        harness.add("share-group", Sharing::share)
            .add("join-leave", Sharing::joinAndLeave)
            .add("two-groups", Sharing::twoGroups);
    }

    private static void share() throws Exception {
        String topic = Harness.topic(QUEUES);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Sender sender = body -> producer.send(message(topic, body));
        Inbox one = new Inbox();
        Inbox other = new Inbox();
        DefaultMQPushConsumer first = consumer(group, topic, one);
        DefaultMQPushConsumer second = consumer(group, topic, other);
        sender.awaitBalance(QUEUES, PATIENCE, one, other);

        List<String> bodies = sender.sendAll("shared", 40);
        Inbox.awaitBetween(bodies, PATIENCE, one, other);
        first.shutdown();
        second.shutdown();
        eachOnce(bodies, one, other);
        that("the first got some", one.countOf("shared") > 0);
        that("the second got some", other.countOf("shared") > 0);
        producer.shutdown();
    }

    private static void joinAndLeave() throws Exception {
        String topic = Harness.topic(QUEUES);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Sender sender = body -> producer.send(message(topic, body));
        Inbox staying = new Inbox();
        Inbox leaving = new Inbox();
        List<String> bodies = new ArrayList<>();

        DefaultMQPushConsumer leaver = consumer(group, topic, leaving);
        bodies.addAll(sender.sendAll("alone", 20));
        DefaultMQPushConsumer stayer = consumer(group, topic, staying);
        bodies.addAll(sender.sendAll("joining", 40));
        sender.awaitBalance(QUEUES, PATIENCE, staying, leaving);
        bodies.addAll(sender.sendAll("leaving", 20));
        leaver.shutdown();
        bodies.addAll(sender.sendAll("left", 20));
        Inbox.awaitBetween(bodies, PATIENCE, staying, leaving);
        staying.awaitBodies(bodies("left", 20), PATIENCE);
        stayer.shutdown();
        producer.shutdown();
    }

    private static void twoGroups() throws Exception {
        String topic = Harness.topic(QUEUES);
        DefaultMQProducer producer = producer();
        Sender sender = body -> producer.send(message(topic, body));
        Inbox one = new Inbox();
        Inbox other = new Inbox();
        DefaultMQPushConsumer first = consumer(Harness.group(), topic, one);
        DefaultMQPushConsumer second = consumer(Harness.group(), topic, other);
        List<String> bodies = sender.sendAll("copied", 20);
        one.awaitBodies(bodies, PATIENCE);
        other.awaitBodies(bodies, PATIENCE);
        eachOnce(bodies, one);
        eachOnce(bodies, other);
        first.shutdown();
        second.shutdown();
        producer.shutdown();
    }
}
