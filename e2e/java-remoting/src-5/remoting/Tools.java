package remoting;

import static kit.Expect.bodies;
import static kit.Expect.equal;
import static kit.Expect.that;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.letter;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import kit.Harness;
import kit.Inbox;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.QueueTimeSpan;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** What operators do to groups that are at work, and what they ask. */
@SuppressWarnings("deprecation")
final class Tools {
    private Tools() {
    }

    static void addTo(Harness harness) {
        harness.add("reset-by-time", () -> reset(false))
            .add("reset-by-time-pop", () -> reset(true))
            .add("reset-by-queue", Tools::resetByQueue)
            .add("skip-accumulated", Tools::skip)
            .add("clone-offsets", Tools::cloneOffsets)
            .add("query-by-tag", Tools::queryByTag)
            .add("consumer-relays", Tools::relays)
            .add("consume-stats", Tools::stats);
    }

    private static DefaultMQAdminExt admin() throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(Clients.hook(), 20_000);
        Clients.impatient(admin);
        admin.start();
        return admin;
    }

    private static String broker(DefaultMQAdminExt admin, String topic) throws Exception {
        return admin.examineTopicRouteInfo(topic).getBrokerDatas().get(0).selectBrokerAddr();
    }

    private static DefaultMQPushConsumer consumer(String group, String topic, Inbox inbox, boolean pops)
            throws Exception {
        if (pops) {
            Harness.operator("pop-mode " + topic + " " + group);
        }
        DefaultMQPushConsumer consumer = Clients.unstartedConsumer(group, topic, "*", inbox, letter -> true);
        consumer.setClientRebalance(!pops);
        consumer.start();
        return consumer;
    }

    /** Everything from a time on comes again to the consumer that is there. */
    private static void reset(boolean pops) throws Exception {
        String topic = Harness.topic(2);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, pops);
        for (String body : bodies("before", 6)) {
            producer.send(message(topic, body));
        }
        inbox.awaitBodies(bodies("before", 6), PATIENCE);
        // Nothing of the one part may share a millisecond with the other.
        Thread.sleep(20);
        long time = System.currentTimeMillis();
        Thread.sleep(20);
        for (String body : bodies("after", 6)) {
            producer.send(message(topic, body));
        }
        inbox.await(12, PATIENCE);
        DefaultMQAdminExt admin = admin();
        Map<MessageQueue, Long> table = admin.resetOffsetByTimestamp(topic, group, time, true);
        equal("queues that were reset", 2, table.size());
        inbox.await(18, PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(1));
        equal("before comes once", 6, inbox.count(letter -> letter.body().startsWith("before")));
        equal("after comes twice", 12, inbox.count(letter -> letter.body().startsWith("after")));
        admin.resetOffsetByTimestamp(topic, group, 0, true);
        inbox.await(30, PATIENCE);
        admin.shutdown();
        consumer.shutdown();
        producer.shutdown();
    }

    private static void resetByQueue() throws Exception {
        String topic = Harness.topic(2);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
        for (MessageQueue queue : queues) {
            for (int number = 0; number < 4; number++) {
                producer.send(message(topic, queue.getQueueId() + "-" + number), queue);
            }
        }
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, false);
        inbox.await(8, PATIENCE);
        DefaultMQAdminExt admin = admin();
        admin.resetOffsetByQueueId(broker(admin, topic), group, topic, 1, 2);
        inbox.await(10, PATIENCE);
        inbox.expectSilence(Duration.ofSeconds(1));
        Map<String, Integer> seen = inbox.deliveries();
        equal("again", 2, seen.get("1-2"));
        equal("again", 2, seen.get("1-3"));
        equal("all", 10, inbox.letters().size());
        admin.shutdown();
        consumer.shutdown();
        producer.shutdown();
    }

    /** `skipAccumulatedMessage`: a reset to the end, which nobody there hears of twice. */
    private static void skip() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        for (String body : bodies("skipped", 10)) {
            producer.send(message(topic, body));
        }
        DefaultMQAdminExt admin = admin();
        admin.resetOffsetByTimestamp(topic, group, -1, true);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, false);
        producer.send(message(topic, "fresh"));
        inbox.awaitBodies(List.of("fresh"), PATIENCE);
        equal("all", 1, inbox.letters().size());
        admin.shutdown();
        consumer.shutdown();
        producer.shutdown();
    }

    private static void cloneOffsets() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        String clone = Harness.group();
        DefaultMQProducer producer = producer();
        for (String body : bodies("early", 5)) {
            producer.send(message(topic, body));
        }
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, false);
        inbox.await(5, PATIENCE);
        // Closing it commits how far it came.
        consumer.shutdown();
        DefaultMQAdminExt admin = admin();
        admin.cloneGroupOffset(group, clone, topic, true);
        producer.send(message(topic, "late"));
        Inbox cloned = new Inbox();
        DefaultMQPushConsumer other = consumer(clone, topic, cloned, false);
        cloned.awaitBodies(List.of("late"), PATIENCE);
        equal("all", 1, cloned.letters().size());
        other.shutdown();
        admin.shutdown();
        producer.shutdown();
    }

    private static void queryByTag() throws Exception {
        String topic = Harness.topic(2);
        DefaultMQProducer producer = producer();
        SendResult sent = null;
        for (String tag : List.of("red", "blue", "red")) {
            Message message = message(topic, tag, "a " + tag + " one");
            message.setKeys("key-of-" + tag);
            // Nothing of the one may share a millisecond with the other.
            Thread.sleep(20);
            sent = producer.send(message);
        }
        DefaultMQAdminExt admin = admin();
        long now = System.currentTimeMillis();
        String cluster = admin.examineBrokerClusterInfo().getClusterAddrTable().keySet().iterator().next();
        List<MessageExt> red = admin
            .queryMessage(cluster, topic, "red", 10, now - 60_000, now + 60_000, "T", null).getMessageList();
        equal("red ones", List.of("a red one", "a red one"), red.stream().map(m -> letter(m).body()).toList());
        that("the older one first", red.get(0).getStoreTimestamp() < red.get(1).getStoreTimestamp());
        List<MessageExt> keyed = admin.queryMessage(topic, "key-of-blue", 10, now - 60_000, now + 60_000)
            .getMessageList();
        equal("by key", List.of("a blue one"), keyed.stream().map(m -> letter(m).body()).toList());
        equal("by unique id", "a red one", letter(admin.viewMessage(topic, sent.getMsgId())).body());
        equal("by place", "a red one", letter(admin.viewMessage(topic, sent.getOffsetMsgId())).body());
        MessageQueue queue = sent.getMessageQueue();
        equal("lower", sent.getQueueOffset(), admin.searchLowerBoundaryOffset(queue, red.get(1).getStoreTimestamp()));
        that("min", admin.minOffset(queue) == 0 && admin.maxOffset(queue) == sent.getQueueOffset() + 1);
        admin.shutdown();
        producer.shutdown();
    }

    /** Questions and work that the server hands on to a consumer. */
    private static void relays() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, false);
        SendResult sent = producer.send(message(topic, "told"));
        inbox.await(1, PATIENCE);
        DefaultMQAdminExt admin = admin();
        String client = admin.examineConsumerConnectionInfo(group).getConnectionSet().iterator().next().getClientId();
        ConsumerRunningInfo info = admin.getConsumerRunningInfo(group, client, false);
        that("subscribes: " + info.getSubscriptionSet(),
            info.getSubscriptionSet().stream().anyMatch(each -> each.getTopic().equals(topic)));
        equal("directly", CMResult.CR_SUCCESS,
            admin.consumeMessageDirectly(group, client, topic, sent.getOffsetMsgId()).getConsumeResult());
        inbox.await(2, PATIENCE);
        Map<String, Map<MessageQueue, Long>> status = admin.getConsumeStatus(topic, group, client);
        equal("clients", new TreeSet<>(List.of(client)), new TreeSet<>(status.keySet()));
        equal("its queues", 1, status.get(client).size());
        equal("subscription", "*", admin.querySubscription(group, topic).getSubString());
        admin.shutdown();
        consumer.shutdown();
        producer.shutdown();
    }

    private static void stats() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(group, topic, inbox, false);
        for (String body : bodies("counted", 3)) {
            producer.send(message(topic, body));
        }
        inbox.await(3, PATIENCE);
        consumer.shutdown();
        producer.send(message(topic, "waiting"));
        DefaultMQAdminExt admin = admin();
        List<QueueTimeSpan> spans = new ArrayList<>(admin.queryConsumeTimeSpan(topic, group));
        equal("spans", 1, spans.size());
        QueueTimeSpan span = spans.get(0);
        that("times: " + span, span.getMinTimeStamp() > 0 && span.getMinTimeStamp() <= span.getConsumeTimeStamp()
            && span.getConsumeTimeStamp() <= span.getMaxTimeStamp() && span.getDelayTime() >= 0);
        that("lag of the broker",
            admin.fetchConsumeStatsInBroker(broker(admin, topic), false, 10_000).getTotalDiff() >= 1);
        admin.shutdown();
        producer.shutdown();
    }
}
