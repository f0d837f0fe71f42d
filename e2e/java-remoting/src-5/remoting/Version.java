package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** What only the 5.5 client has: consumption by pop, when the operator says so. */
final class Version {
    private Version() {
    }

    static void addTo(Harness harness) {
        harness.add("pop", Version::pop).add("pop-retry", Version::popRetry);
        PopFiltering.addTo(harness);
        Batched.addTo(harness);
        Tools.addTo(harness);
        Recalling.addTo(harness);
    }

    /** The class of message models has moved between the versions. */
    static void broadcast(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel.BROADCASTING);
    }

    private static void pop() throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = popConsumer(topic, inbox, 1);
        for (String body : bodies("popped", 20)) {
            producer.send(message(topic, body));
        }
        inbox.awaitBodies(bodies("popped", 20), PATIENCE);
        eachOnce(bodies("popped", 20), inbox);
        equal("popped, not pulled", 20, inbox.count(letter -> letter.properties().containsKey("POP_CK")));
        consumer.shutdown();
        producer.shutdown();
    }

    private static void popRetry() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = popConsumer(topic, inbox, 2);
        producer.send(message(topic, "pop me twice"));
        List<Letter> attempts = inbox.await(2, PATIENCE);
        equal("first attempt", 1, attempts.get(0).attempt());
        equal("second attempt", 2, attempts.get(1).attempt());
        consumer.shutdown();
        producer.shutdown();
    }

    private static DefaultMQPushConsumer popConsumer(String topic, Inbox inbox, int successAt) throws Exception {
        String group = Harness.group();
        Harness.operator("pop-mode " + topic + " " + group);
        DefaultMQPushConsumer consumer =
            Clients.unstartedConsumer(group, topic, "*", inbox, letter -> letter.attempt() >= successAt);
        consumer.setClientRebalance(false);
        consumer.start();
        return consumer;
    }
}
