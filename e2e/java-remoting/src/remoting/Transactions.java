package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.impatient;
import static remoting.Clients.message;

import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/** Half messages: what is committed is seen, once; what is left open is asked about. */
final class Transactions {
    private static final int COUNT = 20;
    /** Longer than the first check and one interval of the server under test. */
    private static final Duration QUIET = Duration.ofSeconds(9);
    private static final int END_TRANSACTION = 37;

    private Transactions() {
    }

    static void addTo(Harness harness) {
        harness.add("tx-commit-rollback", Transactions::commitAndRollback)
            .add("tx-properties", Transactions::properties)
            .add("tx-check", Transactions::check)
            .add("tx-check-again", Transactions::checkAgain)
            .add("tx-producer-gone", Transactions::producerGone)
            .add("tx-wrong-words", Transactions::wrongWords)
            .add("tx-restart-kill", Transactions::restart);
    }

    private static boolean isEven(String body) {
        return Integer.parseInt(body.substring(body.lastIndexOf('-') + 1)) % 2 == 0;
    }

    private static LocalTransactionState byNumber(String body) {
        return isEven(body) ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
    }

    private static List<String> even(List<String> bodies) {
        return bodies.stream().filter(Transactions::isEven).toList();
    }

    private static void commitAndRollback() throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Decider decider = new Decider(Transactions::byNumber, body -> LocalTransactionState.UNKNOW);
        TransactionMQProducer producer = transactional(Harness.unique("producers"), decider);
        List<String> bodies = bodies("settled", COUNT);
        for (String body : bodies) {
            TransactionSendResult result = producer.sendMessageInTransaction(message(topic, body), null);
            equal("status", SendStatus.SEND_OK, result.getSendStatus());
            equal("state", byNumber(body), result.getLocalTransactionState());
        }
        inbox.awaitBodies(even(bodies), PATIENCE);
        inbox.expectSilence(QUIET);
        equal("received", COUNT / 2, inbox.letters().size());
        eachOnce(even(bodies), inbox);
        equal("checks of what was decided", 0, decider.checks.size());
        consumer.shutdown();
        producer.shutdown();
    }

    /** What the consumer sees of a committed message besides what was sent. */
    private static void properties() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.unique("producers");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        TransactionMQProducer producer = transactional(group,
            new Decider(body -> LocalTransactionState.COMMIT_MESSAGE, body -> LocalTransactionState.UNKNOW));
        Message message = message(topic, "colour", "tinted-0");
        message.setKeys(List.of("key-1"));
        message.putUserProperty("shape", "round");
        SendResult result = producer.sendMessageInTransaction(message, null);
        equal("transaction id", result.getMsgId(), result.getTransactionId());
        Letter letter = inbox.await(1, PATIENCE).get(0);
        equal("tag", "colour", letter.tag());
        equal("id", result.getMsgId(), letter.id());
        Map<String, String> properties = letter.properties();
        equal("shape", "round", properties.get("shape"));
        equal("mark", "true", properties.get("TRAN_MSG"));
        equal("producers", group, properties.get("PGROUP"));
        equal("real topic", null, properties.get("REAL_TOPIC"));
        equal("real queue", null, properties.get("REAL_QID"));
        equal("transaction", result.getMsgId(), properties.get("__transactionId__"));
        consumer.shutdown();
        producer.shutdown();
    }

    private static void check() throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Decider decider = new Decider(body -> LocalTransactionState.UNKNOW, Transactions::byNumber);
        TransactionMQProducer producer = transactional(Harness.unique("producers"), decider);
        List<String> bodies = bodies("open", COUNT);
        Map<String, String> ids = new ConcurrentHashMap<>();
        for (String body : bodies) {
            ids.put(body, producer.sendMessageInTransaction(message(topic, body), null).getMsgId());
        }
        inbox.awaitBodies(even(bodies), PATIENCE);
        decider.await(bodies, PATIENCE);
        inbox.expectSilence(QUIET);
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
        for (String body : bodies) {
            MessageExt asked = decider.checks.get(body).get(0);
            equal("checks of " + body, 1, decider.checks.get(body).size());
            equal("topic", topic, asked.getTopic());
            equal("id", ids.get(body), asked.getTransactionId());
            equal("number of the check", "1", asked.getProperty("TRANSACTION_CHECK_TIMES"));
        }
        consumer.shutdown();
        producer.shutdown();
    }

    /** Who says at the first check that it does not know is asked again. */
    private static void checkAgain() throws Exception {
        String topic = Harness.topic(1);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Map<String, Integer> asked = new ConcurrentHashMap<>();
        Decider decider = new Decider(body -> LocalTransactionState.UNKNOW,
            body -> asked.merge(body, 1, Integer::sum) < 2
                ? LocalTransactionState.UNKNOW : LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer producer = transactional(Harness.unique("producers"), decider);
        producer.sendMessageInTransaction(message(topic, "twice-0"), null);
        inbox.awaitBodies(List.of("twice-0"), PATIENCE);
        List<MessageExt> checks = decider.checks.get("twice-0");
        equal("checks", 2, checks.size());
        equal("number of the second", "2", checks.get(1).getProperty("TRANSACTION_CHECK_TIMES"));
        equal("as consumed", "2", inbox.letters().get(0).properties().get("TRANSACTION_CHECK_TIMES"));
        consumer.shutdown();
        producer.shutdown();
    }

    /** A producer leaves between half message and outcome: another one of its group is asked and decides. */
    private static void producerGone() throws Exception {
        String topic = Harness.topic(4);
        String group = Harness.unique("producers");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Decider silent = new Decider(body -> LocalTransactionState.UNKNOW, body -> LocalTransactionState.UNKNOW);
        TransactionMQProducer first = transactional(group, silent);
        List<String> bodies = bodies("orphan", COUNT);
        for (String body : bodies) {
            first.sendMessageInTransaction(message(topic, body), null);
        }
        first.shutdown();
        Decider heir = new Decider(body -> LocalTransactionState.UNKNOW, Transactions::byNumber);
        TransactionMQProducer second = transactional(group, heir);
        // A producer is known to brokers once it has sent something to one of their topics.
        second.sendMessageInTransaction(message(topic, "known-1"), null);
        inbox.awaitBodies(even(bodies), PATIENCE);
        heir.await(bodies, PATIENCE);
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
        consumer.shutdown();
        second.shutdown();
    }

    /** Ends that name the wrong group or place are refused, and the transaction stays open. */
    private static void wrongWords() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.unique("producers");
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Decider decider = new Decider(body -> LocalTransactionState.UNKNOW, body -> LocalTransactionState.UNKNOW);
        TransactionMQProducer producer = transactional(group, decider);
        producer.sendMessageInTransaction(message(topic, "exact-0"), null);
        decider.await(List.of("exact-0"), PATIENCE);
        // Only a check tells where the half message lies.
        MessageExt half = decider.checks.get("exact-0").get(0);
        long position = half.getCommitLogOffset();
        InetSocketAddress place = (InetSocketAddress) half.getStoreHost();
        String address = place.getAddress().getHostAddress() + ":" + place.getPort();
        NettyRemotingClient raw = new NettyRemotingClient(new NettyClientConfig());
        raw.start();
        long offset = half.getQueueOffset();
        equal("wrong group", 1, end(raw, address, "others", position, offset, 8));
        equal("wrong offset", 1, end(raw, address, group, position, offset + 1, 8));
        equal("nothing there", 1, end(raw, address, group, position + 10_000_000, offset, 8));
        inbox.expectSilence(Duration.ofSeconds(1));
        equal("the right words", 0, end(raw, address, group, position, offset, 8));
        inbox.awaitBodies(List.of("exact-0"), PATIENCE);
        equal("a rollback that comes too late", 0, end(raw, address, group, position, offset, 12));
        raw.shutdown();
        consumer.shutdown();
        producer.shutdown();
    }

    private static int end(NettyRemotingClient raw, String address, String group, long position, long offset, int how)
            throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(END_TRANSACTION, null);
        request.addExtField("producerGroup", group);
        request.addExtField("commitLogOffset", Long.toString(position));
        request.addExtField("tranStateTableOffset", Long.toString(offset));
        request.addExtField("commitOrRollback", Integer.toString(how));
        request.addExtField("fromTransactionCheck", "false");
        request.addExtField("msgId", "any");
        request.addExtField("transactionId", "any");
        return raw.invokeSync(address, request, 5_000).getCode();
    }

    /** What is open when the server dies is open when it is back. */
    private static void restart() throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        CountDownLatch back = new CountDownLatch(1);
        Decider decider = new Decider(body -> LocalTransactionState.UNKNOW,
            body -> back.getCount() > 0 ? LocalTransactionState.UNKNOW : byNumber(body));
        TransactionMQProducer producer = transactional(Harness.unique("producers"), decider);
        List<String> bodies = bodies("survivor", COUNT);
        for (String body : bodies) {
            producer.sendMessageInTransaction(message(topic, body), null);
        }
        Harness.restart(Harness.Restart.kill);
        back.countDown();
        inbox.awaitBodies(even(bodies), PATIENCE);
        inbox.expectSilence(QUIET);
        eachOnce(even(bodies), inbox);
        equal("received", COUNT / 2, inbox.letters().size());
        consumer.shutdown();
        producer.shutdown();
    }

    private static TransactionMQProducer transactional(String group, Decider decider) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group, Clients.hook());
        impatient(producer);
        producer.setSendMsgTimeout(5_000);
        producer.setTransactionListener(decider);
        producer.start();
        return producer;
    }

    /** Says what its functions say, and remembers what it was asked. */
    private static final class Decider implements TransactionListener {
        final Map<String, List<MessageExt>> checks = new ConcurrentHashMap<>();
        private final Function<String, LocalTransactionState> atOnce;
        private final Function<String, LocalTransactionState> whenAsked;

        Decider(Function<String, LocalTransactionState> atOnce, Function<String, LocalTransactionState> whenAsked) {
            this.atOnce = atOnce;
            this.whenAsked = whenAsked;
        }

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return atOnce.apply(new String(message.getBody(), StandardCharsets.UTF_8));
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            String body = new String(message.getBody(), StandardCharsets.UTF_8);
            LocalTransactionState state = whenAsked.apply(body);
            synchronized (this) {
                checks.computeIfAbsent(body, unasked -> new ArrayList<>()).add(message);
                notifyAll();
            }
            return state;
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
