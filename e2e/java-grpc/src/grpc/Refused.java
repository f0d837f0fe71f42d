package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.PROVIDER;
import static grpc.Clients.configuration;
import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.tags;
import static kit.Expect.equal;
import static kit.Expect.that;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import kit.Account;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.java.exception.UnauthorizedException;

/** Who does not prove who it is, or may not, is refused: with the code that says so. */
final class Refused {
    private static final int UNAUTHORIZED = 40100;

    private Refused() {
    }

    static void addTo(Harness harness) {
        if (Account.isAsked()) {
            harness.add("refused-send", Refused::send)
                .add("refused-topic", Refused::topic)
                .add("refused-consume", Refused::consume);
        }
    }

    /** The last one signs nothing. */
    private static List<Account> strangers() {
        return Arrays.asList(Account.wrong(), Account.UNKNOWN, Account.DISABLED, Account.GUEST, null);
    }

    private static void send() throws Exception {
        String topic = Harness.topic(1);
        for (Account stranger : strangers()) {
            expectRefusal(stranger, topic);
        }
        try (Producer producer = producer(topic)) {
            producer.send(message(topic, "let through"));
        }
    }

    /** Its user may send to any topic but this one. */
    private static void topic() throws Exception {
        String closed = Harness.unique("closed");
        Harness.operator("topic " + closed + " NORMAL 1");
        expectRefusal(Account.own(), closed);
    }

    private static void expectRefusal(Account account, String topic) throws Exception {
        refused(account + " sends", () -> {
            try (Producer producer = PROVIDER.newProducerBuilder().setClientConfiguration(configuration(account))
                .setTopics(topic).build()) {
                producer.send(message(topic, "not to be taken"));
            }
        });
    }

    private static void consume() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        try (Producer producer = producer(topic)) {
            producer.send(message(topic, "kept"));
        }
        for (Account stranger : strangers()) {
            refused(stranger + " receives", () -> PROVIDER.newSimpleConsumerBuilder()
                .setClientConfiguration(configuration(stranger)).setConsumerGroup(group)
                .setAwaitDuration(Clients.POLL).setSubscriptionExpressions(Collections.singletonMap(topic, tags("*")))
                .build().receive(1, Clients.INVISIBLE));
            refused(stranger + " listens", () -> PROVIDER.newPushConsumerBuilder()
                .setClientConfiguration(configuration(stranger)).setConsumerGroup(group)
                .setSubscriptionExpressions(Collections.singletonMap(topic, tags("*")))
                .setMessageListener(message -> ConsumeResult.SUCCESS).build());
        }
        Inbox inbox = new Inbox();
        try (var consumer = pushConsumer(group, topic, inbox)) {
            equal("attempt", 1, inbox.await(1, PATIENCE).get(0).attempt());
        }
    }

    private interface Call {
        void make() throws Exception;
    }

    private static void refused(String what, Call call) throws Exception {
        try {
            call.make();
        } catch (Exception failure) {
            for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
                if (cause instanceof UnauthorizedException refused) {
                    that("code of " + what + ": " + refused, refused.toString().contains("response-code=" + UNAUTHORIZED));
                    return;
                }
            }
            throw failure;
        }
        throw new AssertionError(what + ": nobody minds");
    }
}
