package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.hook;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.List;
import kit.Account;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.remoting.RPCHook;

/** Who does not prove who it is, or may not, is refused: with the code that says so. */
final class Refused {
    private static final int NO_PERMISSION = 16;
    /** The client's own: it got no route, whatever the name server answered. */
    private static final int NO_ROUTE = 10_005;
    private static final Duration QUIET = Duration.ofSeconds(4);

    private Refused() {
    }

    static void addTo(Harness harness) {
        if (Account.isAsked()) {
            harness.add("refused-send", Refused::send)
                .add("refused-topic", Refused::topic)
                .add("refused-consume", Refused::consume);
        }
    }

    /** A hook for each kind of caller who is to be refused; the last one is none. */
    private static List<RPCHook> strangers() {
        return java.util.Arrays.asList(hook(Account.wrong()), hook(Account.UNKNOWN), hook(Account.DISABLED),
            hook(Account.GUEST), null);
    }

    private static void send() throws Exception {
        String topic = Harness.topic(1);
        for (RPCHook stranger : strangers()) {
            expectRefusal(stranger, topic);
        }
        Clients.sendOne(topic, "let through");
    }

    /** Its user may send to any topic but this one. */
    private static void topic() throws Exception {
        String closed = Harness.unique("closed");
        Harness.operator("topic " + closed + " NORMAL 1");
        expectRefusal(Clients.hook(), closed);
    }

    private static void expectRefusal(RPCHook hook, String topic) throws Exception {
        DefaultMQProducer producer = producer(hook);
        try {
            producer.send(message(topic, "not to be taken"));
            throw new AssertionError("a message was taken");
        } catch (MQBrokerException refused) {
            equal("code of " + refused, NO_PERMISSION, refused.getResponseCode());
        } catch (MQClientException refused) {
            if (refused.getResponseCode() == NO_ROUTE) {
                // The client hides with which code the route was refused, so the same client asks for it openly.
                equal("code for the route", NO_PERMISSION, codeForRoute(producer, topic));
            } else {
                equal("code of " + refused, NO_PERMISSION, refused.getResponseCode());
            }
        } finally {
            producer.shutdown();
        }
    }

    private static int codeForRoute(DefaultMQProducer producer, String topic) throws Exception {
        try {
            producer.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl()
                .getTopicRouteInfoFromNameServer(topic, 5_000);
        } catch (MQClientException refused) {
            return refused.getResponseCode();
        }
        return 0;
    }

    private static void consume() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        Inbox stolen = new Inbox();
        DefaultMQProducer producer = producer();
        List<String> bodies = bodies("kept", 10);
        for (String body : bodies) {
            producer.send(message(topic, body));
        }
        List<DefaultMQPushConsumer> thieves = new java.util.ArrayList<>();
        for (RPCHook stranger : strangers()) {
            DefaultMQPushConsumer thief =
                Clients.dressed(new DefaultMQPushConsumer(group, stranger, new AllocateMessageQueueAveragely()),
                    topic, "*", stolen, letter -> true);
            thief.start();
            thieves.add(thief);
        }
        stolen.expectSilence(QUIET);
        thieves.forEach(DefaultMQPushConsumer::shutdown);
        that("nothing was taken", stolen.letters().isEmpty());
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = Clients.consumer(group, topic, inbox);
        inbox.awaitBodies(bodies, PATIENCE);
        eachOnce(bodies, inbox);
        consumer.shutdown();
        producer.shutdown();
    }
}
