package remoting;

import static kit.Expect.bodies;
import static kit.Expect.eachOnce;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.consumer;
import static remoting.Clients.message;
import static remoting.Clients.producer;
import static remoting.Timing.expectTime;
import static remoting.Timing.timed;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;

/** The setters of delivery times, and recall, which the older client does not have. */
final class Recalling {
    private static final int ILLEGAL_OPERATION = 604;
    private static final int MESSAGE_ILLEGAL = 13;

    private Recalling() {
    }

    static void addTo(Harness harness) {
        harness.add("timed-setters", Recalling::setters)
            .add("timed-recall", Recalling::recall)
            .add("timed-recall-illegal", Recalling::illegal)
            .add("timed-recall-by-message", Recalling::byMessage)
            .add("timed-recall-restart-kill", Recalling::restart)
            .add("timed-recurring", Recalling::recurring);
    }

    private static void setters() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        Map<String, long[]> times = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = Timing.noting(topic, inbox, times);
        long start = System.currentTimeMillis();
        Message first = message(topic, "set-0");
        first.setDelayTimeMs(3_200);
        Message second = message(topic, "set-1");
        second.setDelayTimeSec(4);
        Message third = message(topic, "set-2");
        third.setDeliverTimeMs(start + 5_300);
        for (Message message : new Message[] {first, second, third}) {
            producer.send(message);
        }
        inbox.awaitBodies(bodies("set", 3), PATIENCE);
        eachOnce(bodies("set", 3), inbox);
        expectTime("setDelayTimeMs", start + 3_200, times.get("set-0"));
        expectTime("setDelayTimeSec", start + 4_000, times.get("set-1"));
        expectTime("setDeliverTimeMs", start + 5_300, times.get("set-2"));
        consumer.shutdown();
        producer.shutdown();
    }

    private static SendResult sendAhead(DefaultMQProducer producer, String topic, String body, long delayMs)
            throws Exception {
        Message message = message(topic, body);
        message.setDeliverTimeMs(System.currentTimeMillis() + delayMs);
        SendResult sent = producer.send(message);
        that("a recall handle is given", sent.getRecallHandle() != null && !sent.getRecallHandle().isEmpty());
        return sent;
    }

    private static void recall() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        for (int number = 0; number < 10; number++) {
            SendResult gone = sendAhead(producer, topic, "gone-" + number, 6_000);
            sendAhead(producer, topic, "kept-" + number, 6_000);
            equal("the id of what was recalled", gone.getMsgId(),
                producer.recallMessage(topic, gone.getRecallHandle()));
        }
        SendResult far = sendAhead(producer, topic, "gone-far", 86_400_000);
        producer.recallMessage(topic, far.getRecallHandle());
        // Once more is no error: it is not delivered.
        equal("again", far.getMsgId(), producer.recallMessage(topic, far.getRecallHandle()));
        inbox.awaitBodies(bodies("kept", 10), PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(5));
        eachOnce(bodies("kept", 10), inbox);
        equal("recalled and delivered", 0, inbox.countOf("gone"));
        consumer.shutdown();
        producer.shutdown();
    }

    private static String handle(String topic, String broker, Object time, String id) {
        String raw = String.join(" ", "v1", topic, broker, String.valueOf(time), id);
        return Base64.getUrlEncoder().encodeToString(raw.getBytes(StandardCharsets.UTF_8));
    }

    private static void illegal() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        SendResult sent = sendAhead(producer, topic, "late", 1_500);
        String[] parts = new String(Base64.getUrlDecoder().decode(sent.getRecallHandle()), StandardCharsets.UTF_8)
            .split(" ");
        equal("version", "v1", parts[0]);
        equal("topic", topic, parts[1]);
        equal("broker", sent.getMessageQueue().getBrokerName(), parts[2]);
        equal("id", sent.getMsgId(), parts[4]);
        String broker = parts[2];
        long ahead = System.currentTimeMillis() + 60_000;
        // What is not there is recalled as well: it is not delivered.
        equal("unknown", "nobody", producer.recallMessage(topic, handle(topic, broker, ahead, "nobody")));
        equal("another broker", ILLEGAL_OPERATION, refusal(producer, topic, handle(topic, "other", ahead, "id")));
        equal("another topic", ILLEGAL_OPERATION, refusal(producer, topic, handle("other", broker, ahead, "id")));
        equal("no time", ILLEGAL_OPERATION, refusal(producer, topic, handle(topic, broker, "soon", "id")));
        equal("beyond the end", ILLEGAL_OPERATION,
            refusal(producer, topic, handle(topic, broker, Long.MAX_VALUE, "id")));
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        inbox.await(1, PATIENCE);
        equal("too late", ILLEGAL_OPERATION, refusal(producer, topic, sent.getRecallHandle()));
        consumer.shutdown();
        producer.shutdown();
    }

    private static int refusal(DefaultMQProducer producer, String topic, String handle) throws Exception {
        try {
            throw new AssertionError("recalled: " + producer.recallMessage(topic, handle));
        } catch (MQBrokerException refused) {
            return refused.getResponseCode();
        }
    }

    /** The way of older clients: a message that names the one to be deleted, due at the same time. */
    private static void byMessage() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        long due = System.currentTimeMillis() + 5_000;
        SendResult sent = producer.send(timed(topic, "gone-0", Timing.DELIVER, due));
        producer.send(timed(topic, "kept-0", Timing.DELIVER, due));
        Message delete = timed(topic, "delete", Timing.DELIVER, due);
        MessageAccessor.putProperty(delete, "TIMER_DEL_UNIQKEY", sent.getMsgId());
        producer.send(delete);
        Message late = timed(topic, "delete", Timing.DELIVER, System.currentTimeMillis() - 1);
        MessageAccessor.putProperty(late, "TIMER_DEL_UNIQKEY", sent.getMsgId());
        equal("a deletion in the past", MESSAGE_ILLEGAL, Timing.refusal(producer, late));
        inbox.awaitBodies(bodies("kept", 1), PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(3));
        consumer.shutdown();
        producer.shutdown();
    }

    /** A recall that was answered holds over the death of the server. */
    private static void restart() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        for (int number = 0; number < 20; number++) {
            SendResult gone = sendAhead(producer, topic, "gone-" + number, 15_000);
            sendAhead(producer, topic, "kept-" + number, 15_000);
            producer.recallMessage(topic, gone.getRecallHandle());
        }
        Harness.restart(Harness.Restart.kill);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        inbox.awaitBodies(bodies("kept", 20), PATIENCE.plusSeconds(60));
        inbox.expectSilence(Duration.ofSeconds(3));
        eachOnce(bodies("kept", 20), inbox);
        consumer.shutdown();
        producer.shutdown();
    }

    /** An addition of ours: by a cron expression, until it was fired often enough or is recalled. */
    private static void recurring() throws Exception {
        String topic = Harness.topic(1);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        Message thrice = message(topic, "thrice");
        thrice.putUserProperty("APOGEE_CRON", "*/2 * * * * *");
        thrice.putUserProperty("APOGEE_CRON_TIMES", "3");
        producer.send(thrice);
        Message endless = message(topic, "endless");
        endless.putUserProperty("APOGEE_CRON", "* * * * * *");
        SendResult series = producer.send(endless);
        Message broken = message(topic, "broken");
        broken.putUserProperty("APOGEE_CRON", "every Tuesday");
        equal("a broken expression", MESSAGE_ILLEGAL, Timing.refusal(producer, broken));
        inbox.await(8, PATIENCE);
        equal("the id of the series", series.getMsgId(), producer.recallMessage(topic, series.getRecallHandle()));
        // What was on its way when the series ended may still come.
        Thread.sleep(3_000);
        inbox.expectSilence(Duration.ofSeconds(4));
        equal("fired", 3, inbox.count(letter -> letter.body().equals("thrice")));
        that("the other recurred", inbox.count(letter -> letter.body().equals("endless")) >= 3);
        consumer.shutdown();
        producer.shutdown();
    }
}
