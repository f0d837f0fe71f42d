package remoting;

import static kit.Expect.equal;
import static remoting.Clients.dressed;
import static remoting.Clients.hook;
import static remoting.Clients.impatient;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import kit.Harness;
import kit.Inbox;
import kit.Node.Step;
import kit.TimeLine;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The time line of a message of each kind, whose consumer fails once. The consumer fetches by itself: that it has the
 * message is told by its trace.
 */
final class Lives {
    /** Delay level 1, as the consumers of the cases ask for. */
    private static final long PAUSE_MS = 1_000;

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
        String group = Harness.group();
        DefaultMQPushConsumer consumer =
            dressed(traced(group), topic, "*", new Inbox(), letter -> letter.attempt() > 1);
        consumer.start();
        String id = send.to(topic);
        List<Step> received = TimeLine.expect(topic, id, group, before, TimeLine.AGAIN);
        TimeLine.expectRetry(received, PAUSE_MS);
        consumer.shutdown();
    }

    /** In order, the client tries again by itself; its trace tells of both. */
    private static void inOrder() throws Exception {
        String topic = topic("FIFO");
        String group = Harness.group("orderly=1");
        DefaultMQPushConsumer consumer = traced(group);
        AtomicInteger attempts = new AtomicInteger();
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) ->
            attempts.incrementAndGet() > 1
                ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT);
        consumer.start();
        String id = send(producer(), new Message(topic, "life".getBytes()));
        TimeLine.expect(topic, id, group, TimeLine.STORED, List.of("delivered", "delivered", "acked"));
        equal("attempts", 2, attempts.get());
        consumer.shutdown();
    }

    private static DefaultMQPushConsumer traced(String group) {
        return new DefaultMQPushConsumer(group, hook(), new AllocateMessageQueueAveragely(), true, null);
    }

    private static String topic(String kind) throws Exception {
        String topic = Harness.unique("topic");
        Harness.operator("topic " + topic + " " + kind + " 1");
        return topic;
    }

    private static String send(DefaultMQProducer producer, Message message) throws Exception {
        String id = producer.send(message).getMsgId();
        producer.shutdown();
        return id;
    }

    private static String normal(String topic) throws Exception {
        return send(producer(), message(topic, "life"));
    }

    private static String delayed(String topic) throws Exception {
        Message message = message(topic, "life");
        message.setDelayTimeLevel(2);
        return send(producer(), message);
    }

    private static String committed(String topic) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(Harness.unique("producers"), hook());
        impatient(producer);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.UNKNOW;
            }
        });
        producer.start();
        String id = producer.sendMessageInTransaction(message(topic, "life"), null).getMsgId();
        producer.shutdown();
        return id;
    }
}
