package grpc;

import static grpc.Clients.configuration;
import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.unbuilt;
import static kit.Expect.equal;

import grpc.Clients.Listening;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Node.Step;
import kit.TimeLine;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;

/** The time line of a message of each kind, whose consumer fails once. */
final class Lives {
    private static final int STEP_MS = 1_000;
    private static final int DELAY_MS = 2_000;

    private Lives() {
    }

    static void addTo(Harness harness) {
        harness.add("life-normal", () -> retried("NORMAL", Lives::normal, TimeLine.STORED))
            .add("life-delay", () -> retried("DELAY", Lives::delayed, TimeLine.TIMED))
            .add("life-transaction", () -> retried("TRANSACTION", Lives::committed, TimeLine.COMMITTED))
            .add("life-fifo", Lives::inOrder);
    }

    private interface Send {
        String to(String topic) throws Exception;
    }

    private static void retried(String kind, Send send, List<String> before) throws Exception {
        String topic = topic(kind);
        String group = Harness.group("step-ms=" + STEP_MS);
        Inbox inbox = new Inbox();
        try (Listening consumer = pushConsumer(group, topic, "*", inbox, letter -> letter.attempt() > 1)) {
            String id = send.to(topic);
            List<Step> received = TimeLine.expect(topic, id, group, before, TimeLine.AGAIN);
            TimeLine.expectRetry(received, STEP_MS);
            equal("results of " + received, List.of("failed", "acked"), results(received));
        }
    }

    /** In order, the client tries again by itself and tells nobody. */
    private static void inOrder() throws Exception {
        String topic = topic("FIFO");
        String group = Harness.group("orderly=1", "step-ms=" + STEP_MS);
        Inbox inbox = new Inbox();
        try (Listening consumer = pushConsumer(group, topic, "*", inbox, letter -> letter.attempt() > 1)) {
            String id = ordered(topic);
            List<Step> received = TimeLine.expect(topic, id, group, TimeLine.STORED, TimeLine.ONCE);
            equal("results of " + received, List.of("acked"), results(received));
            equal("attempts", 2, inbox.letters().size());
        }
    }

    private static List<String> results(List<Step> received) {
        return received.stream().filter(step -> step.name().equals("delivered")).map(Step::result).toList();
    }

    private static String topic(String kind) throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " " + kind + " 1");
        return topic;
    }

    private static String normal(String topic) throws Exception {
        try (Producer producer = producer(topic)) {
            return producer.send(message(topic, "life")).getMessageId().toString();
        }
    }

    private static String ordered(String topic) throws Exception {
        try (Producer producer = producer(topic)) {
            return producer.send(unbuilt(topic, "life").setMessageGroup("k").build()).getMessageId().toString();
        }
    }

    private static String delayed(String topic) throws Exception {
        long dueMs = System.currentTimeMillis() + DELAY_MS;
        try (Producer producer = producer(topic)) {
            return producer.send(unbuilt(topic, "life").setDeliveryTimestamp(dueMs).build())
                .getMessageId().toString();
        }
    }

    private static String committed(String topic) throws Exception {
        try (Producer producer = Clients.PROVIDER.newProducerBuilder()
                .setClientConfiguration(configuration())
                .setTopics(topic)
                .setTransactionChecker(asked -> TransactionResolution.UNKNOWN)
                .build()) {
            Transaction transaction = producer.beginTransaction();
            String id = producer.send(message(topic, "life"), transaction).getMessageId().toString();
            transaction.commit();
            return id;
        }
    }
}
