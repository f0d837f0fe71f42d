package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.PROVIDER;
import static grpc.Clients.configuration;
import static grpc.Clients.message;
import static grpc.Clients.pushConsumer;
import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;

import grpc.Clients.Listening;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.Transaction;
import org.apache.rocketmq.client.apis.producer.TransactionChecker;
import org.apache.rocketmq.client.apis.producer.TransactionResolution;

/** Half messages: what is committed is seen, once; what is left open is asked about. */
final class Transactions {
    private static final int COUNT = 20;
    private static final Duration QUIET = Duration.ofSeconds(9);

    private Transactions() {
    }

    static void addTo(Harness harness) {
        harness.add("tx-commit-rollback", Transactions::commitAndRollback)
            .add("tx-check", Transactions::check)
            .add("tx-producer-gone", Transactions::producerGone)
            .add("tx-wrong-type", Transactions::wrongType);
    }

    private static String topic() throws Exception {
        String name = Harness.unique("topic");
        Harness.operator("topic " + name + " TRANSACTION 4");
        return name;
    }

    private static boolean isEven(String body) {
        return Integer.parseInt(body.substring(body.lastIndexOf('-') + 1)) % 2 == 0;
    }

    private static List<String> even(List<String> bodies) {
        return bodies.stream().filter(Transactions::isEven).toList();
    }

    private static TransactionResolution byNumber(String body) {
        return isEven(body) ? TransactionResolution.COMMIT : TransactionResolution.ROLLBACK;
    }

    private static void commitAndRollback() throws Exception {
        String topic = topic();
        Inbox inbox = new Inbox();
        Decider decider = new Decider(body -> TransactionResolution.UNKNOWN);
        List<String> bodies = bodies("settled", COUNT);
        try (Listening consumer = pushConsumer(Harness.group(), topic, inbox);
             Producer producer = transactional(topic, decider)) {
            for (String body : bodies) {
                Transaction transaction = producer.beginTransaction();
                producer.send(message(topic, body), transaction);
                if (isEven(body)) {
                    transaction.commit();
                } else {
                    transaction.rollback();
                }
            }
            inbox.awaitBodies(even(bodies), PATIENCE);
            inbox.expectSilence(QUIET);
        }
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
        equal("checks of what was decided", 0, decider.checks.size());
    }

    private static void check() throws Exception {
        String topic = topic();
        Inbox inbox = new Inbox();
        Decider decider = new Decider(Transactions::byNumber);
        List<String> bodies = bodies("open", COUNT);
        Map<String, String> ids = new ConcurrentHashMap<>();
        try (Listening consumer = pushConsumer(Harness.group(), topic, inbox);
             Producer producer = transactional(topic, decider)) {
            for (String body : bodies) {
                String id = producer.send(message(topic, body), producer.beginTransaction()).getMessageId().toString();
                ids.put(body, id);
            }
            inbox.awaitBodies(even(bodies), PATIENCE);
            decider.await(bodies, PATIENCE);
            inbox.expectSilence(QUIET);
        }
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
        for (String body : bodies) {
            MessageView asked = decider.checks.get(body);
            equal("topic", topic, asked.getTopic());
            equal("id", ids.get(body), asked.getMessageId().toString());
        }
    }

    /** A producer leaves between half message and outcome: another one of the topic is asked and decides. */
    private static void producerGone() throws Exception {
        String topic = topic();
        Inbox inbox = new Inbox();
        List<String> bodies = bodies("orphan", COUNT);
        try (Producer first = transactional(topic, new Decider(body -> TransactionResolution.UNKNOWN))) {
            for (String body : bodies) {
                first.send(message(topic, body), first.beginTransaction());
            }
        }
        Decider heir = new Decider(Transactions::byNumber);
        try (Listening consumer = pushConsumer(Harness.group(), topic, inbox);
             Producer second = transactional(topic, heir)) {
            inbox.awaitBodies(even(bodies), PATIENCE);
            heir.await(bodies, PATIENCE);
        }
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
    }

    /** A topic of transactions takes no normal message, and one of normal messages no transaction. */
    private static void wrongType() throws Exception {
        String transactional = topic();
        String normal = Harness.topic(1);
        Decider decider = new Decider(body -> TransactionResolution.COMMIT);
        try (Producer producer = transactional(transactional, decider)) {
            refused("a normal message", () -> producer.send(message(transactional, "plain-0")));
        }
        try (Producer producer = transactional(normal, decider)) {
            refused("a half message", () -> producer.send(message(normal, "half-0"), producer.beginTransaction()));
        }
    }

    private interface Call {
        void make() throws Exception;
    }

    /** By the client itself, which knows the topic's type, or by the server. */
    private static void refused(String what, Call call) throws Exception {
        try {
            call.make();
        } catch (ClientException | IllegalArgumentException expected) {
            return;
        }
        throw new AssertionError(what + " was taken");
    }

    private static Producer transactional(String topic, TransactionChecker checker) throws ClientException {
        return PROVIDER.newProducerBuilder()
            .setClientConfiguration(configuration())
            .setTopics(topic)
            .setTransactionChecker(checker)
            .build();
    }

    /** Answers checks, and remembers what it was asked. */
    private static final class Decider implements TransactionChecker {
        final Map<String, MessageView> checks = new ConcurrentHashMap<>();
        private final Function<String, TransactionResolution> whenAsked;

        Decider(Function<String, TransactionResolution> whenAsked) {
            this.whenAsked = whenAsked;
        }

        @Override
        public TransactionResolution check(MessageView message) {
            String body = StandardCharsets.UTF_8.decode(message.getBody()).toString();
            synchronized (this) {
                checks.putIfAbsent(body, message);
                notifyAll();
            }
            return whenAsked.apply(body);
        }

        synchronized void await(List<String> bodies, Duration patience) throws InterruptedException {
            long end = System.nanoTime() + patience.toNanos();
            while (!checks.keySet().containsAll(bodies)) {
                long left = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
                that("asked about all; asked about " + checks.keySet(), left > 0);
                wait(left);
            }
        }
    }
}
