package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.sender;
import static kit.Expect.eachOnce;

import grpc.Clients.Listening;
import java.util.ArrayList;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Sender;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Several consumers of one group. */
final class Sharing {
    private static final int QUEUES = 4;
    private static final int WAVE = 16;

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
        Inbox one = new Inbox();
        Inbox other = new Inbox();
        try (Producer producer = producer(topic);
                Listening first = pushConsumer(group, topic, one);
                Listening second = pushConsumer(group, topic, other)) {
            Sender sender = sender(producer, topic);
            sender.awaitBalance(WAVE, PATIENCE, one, other);
            List<String> bodies = sender.sendAll("shared", 40);
            Inbox.awaitBetween(bodies, PATIENCE, one, other);
            eachOnce(bodies, one, other);
        }
    }

    private static void joinAndLeave() throws Exception {
        String topic = Harness.topic(QUEUES);
        String group = Harness.group();
        Inbox staying = new Inbox();
        Inbox leaving = new Inbox();
        List<String> bodies = new ArrayList<>();
        try (Producer producer = producer(topic)) {
            Sender sender = sender(producer, topic);
            Listening leaver = pushConsumer(group, topic, leaving);
            bodies.addAll(sender.sendAll("alone", 20));
            try (Listening stayer = pushConsumer(group, topic, staying)) {
                bodies.addAll(sender.sendAll("joining", 40));
                sender.awaitBalance(WAVE, PATIENCE, staying, leaving);
                bodies.addAll(sender.sendAll("leaving", 20));
                leaver.client().close();
                List<String> left = sender.sendAll("left", 20);
                bodies.addAll(left);
                Inbox.awaitBetween(bodies, PATIENCE.plusSeconds(60), staying, leaving);
                staying.awaitBodies(left, PATIENCE);
            }
        }
    }

    private static void twoGroups() throws Exception {
        String topic = Harness.topic(QUEUES);
        Inbox one = new Inbox();
        Inbox other = new Inbox();
        try (Producer producer = producer(topic);
                Listening first = pushConsumer(Harness.group(), topic, one);
                Listening second = pushConsumer(Harness.group(), topic, other)) {
            List<String> bodies = sender(producer, topic).sendAll("copied", 20);
            one.awaitBodies(bodies, PATIENCE);
            other.awaitBodies(bodies, PATIENCE);
            eachOnce(bodies, one);
            eachOnce(bodies, other);
        }
    }
}
