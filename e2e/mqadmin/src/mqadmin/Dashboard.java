package mqadmin;

import static kit.Expect.equal;
import static kit.Expect.that;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.stats.Stats;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.TopicStatsTable;
import org.apache.rocketmq.remoting.protocol.body.BrokerStatsData;
import org.apache.rocketmq.remoting.protocol.body.CMResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumeMessageDirectlyResult;
import org.apache.rocketmq.remoting.protocol.body.ConsumerConnection;
import org.apache.rocketmq.remoting.protocol.body.ConsumerRunningInfo;
import org.apache.rocketmq.remoting.protocol.body.AclInfo;
import org.apache.rocketmq.remoting.protocol.body.UserInfo;
import org.apache.rocketmq.remoting.protocol.route.TopicRouteData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.admin.api.MessageTrack;

/** The calls that the pages of the RocketMQ dashboard make, and what those pages show of the answers. */
final class Dashboard {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final String TRACE_TOPIC = "RMQ_SYS_TRACE_TOPIC";

    private Dashboard() {
    }

    static void addTo(Harness harness) {
        harness.add("dashboard-front", Dashboard::front)
            .add("dashboard-cluster", Dashboard::cluster)
            .add("dashboard-topic", Dashboard::topic)
            .add("dashboard-consumer", Dashboard::consumer)
            .add("dashboard-producer", Dashboard::producer)
            .add("dashboard-message", Dashboard::message)
            .add("dashboard-trace", Dashboard::trace)
            .add("dashboard-dead-letters", Dashboard::deadLetters)
            .add("dashboard-acl", Dashboard::acl);
    }

    /** The page on users and policies: make, list, change, delete. */
    private static void acl() throws Exception {
        with((admin, broker) -> {
            String user = Harness.unique("user");
            String subject = "User:" + user;
            admin.createUser(broker, user, "first-secret", "Normal");
            equal("users", List.of(user), admin.listUser(broker, user).stream().map(UserInfo::getUsername).toList());
            equal("type", "Normal", admin.getUser(broker, user).getUserType());
            admin.updateUser(broker, user, "second-secret", "Super", "disable");
            UserInfo changed = admin.getUser(broker, user);
            equal("type", "Super", changed.getUserType());
            equal("status", "disable", changed.getUserStatus());
            admin.createAcl(broker, subject, List.of("Topic:a"), List.of("Pub", "Sub"), List.of("10.0.0.1"), "Allow");
            admin.updateAcl(broker, subject, List.of("Topic:a"), List.of("Pub"), List.of(), "Deny");
            AclInfo shown = admin.getAcl(broker, subject);
            equal("subject", subject, shown.getSubject());
            AclInfo.PolicyEntryInfo entry = shown.getPolicies().get(0).getEntries().get(0);
            equal("resource", "Topic:a", entry.getResource());
            equal("actions", List.of("Pub"), entry.getActions());
            equal("decision", "Deny", entry.getDecision());
            equal("policies", 1, admin.listAcl(broker, user, "").size());
            admin.deleteAcl(broker, subject, "Topic:a");
            admin.deleteUser(broker, user);
            List<UserInfo> left = admin.listUser(broker, user);
            that("nobody is left", left == null || left.isEmpty());
        });
    }

    private interface Page {
        void show(DefaultMQAdminExt admin, String broker) throws Exception;
    }

    private static void with(Page page) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(Tool.hook(), 10_000);
        admin.setNamesrvAddr(Harness.NAMESRV);
        admin.setInstanceName(Harness.unique("dashboard"));
        admin.start();
        try {
            String broker = admin.examineBrokerClusterInfo().getBrokerAddrTable().values().iterator().next()
                .getBrokerAddrs().get(MixAll.MASTER_ID);
            page.show(admin, broker);
        } finally {
            admin.shutdown();
        }
    }

    /** Asks until the answer is there. */
    private static <T> T await(String what, Callable<T> question) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        Exception last = null;
        while (System.nanoTime() < end) {
            try {
                T answer = question.call();
                if (answer != null) {
                    return answer;
                }
            } catch (Exception notYet) {
                last = notYet;
            }
            Thread.sleep(200);
        }
        throw new AssertionError("no " + what + " in time", last);
    }

    private static DefaultMQProducer sender(String group, boolean traced) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(group, Tool.hook());
        producer.setEnableTrace(traced);
        producer.setNamesrvAddr(Harness.NAMESRV);
        producer.setInstanceName(Harness.unique("producer"));
        producer.setHeartbeatBrokerInterval(1_000);
        producer.start();
        return producer;
    }

    private static SendResult send(DefaultMQProducer producer, String topic, String key) throws Exception {
        return producer.send(new Message(topic, "red", key, "shown".getBytes(StandardCharsets.UTF_8)));
    }

    private static DefaultMQPushConsumer consumer(String group, String topic, boolean traced,
        MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, Tool.hook());
        consumer.setEnableTrace(traced);
        consumer.setNamesrvAddr(Harness.NAMESRV);
        consumer.setInstanceName(Harness.unique("consumer"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMaxReconsumeTimes(0);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    private static MessageListenerConcurrently counting(CountDownLatch seen) {
        return (messages, context) -> {
            messages.forEach(message -> seen.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        };
    }

    private static void await(CountDownLatch seen) throws Exception {
        that("consumed in time", seen.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS));
    }

    /** Trends of brokers and topics, today's and yesterday's totals. */
    private static void front() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        CountDownLatch seen = new CountDownLatch(5);
        DefaultMQProducer producer = sender(Harness.unique("producers"), false);
        DefaultMQPushConsumer consumer = consumer(group, topic, false, counting(seen));
        for (int number = 0; number < 5; number++) {
            send(producer, topic, "k" + number);
        }
        await(seen);
        with((admin, broker) -> {
            Map<String, String> facts = admin.fetchBrokerRuntimeStats(broker).getTable();
            for (String number : List.of("msgPutTotalTodayNow", "msgPutTotalTodayMorning", "msgPutTotalYesterdayMorning",
                "msgGetTotalTodayNow", "msgGetTotalTodayMorning", "msgGetTotalYesterdayMorning")) {
                that(number, Long.parseLong(facts.get(number)) >= 0);
            }
            that("sent today", Long.parseLong(facts.get("msgPutTotalTodayNow")) >= 5);
            that("received today", Long.parseLong(facts.get("msgGetTotalTodayNow")) >= 5);
            for (String rates : List.of("putTps", "getTransferredTps", "getTotalTps", "getFoundTps", "getMissTps")) {
                equal(rates, 3, facts.get(rates).split(" ").length);
            }
            that("topics", admin.fetchAllTopicList().getTopicList().contains(topic));
            that("groups", admin.queryTopicConsumeByWho(topic).getGroupList().contains(group));
            BrokerStatsData sent = admin.viewBrokerStatsData(broker, Stats.TOPIC_PUT_NUMS, topic);
            equal("sent in a day", 5L, sent.getStatsDay().getSum());
            that("sent a second", sent.getStatsMinute().getTps() > 0);
            BrokerStatsData received = admin.viewBrokerStatsData(broker, Stats.GROUP_GET_NUMS, topic + "@" + group);
            equal("received in a day", 5L, received.getStatsDay().getSum());
            that("received a second", received.getStatsMinute().getTps() > 0);
        });
        producer.shutdown();
        consumer.shutdown();
    }

    /** Table of brokers, a broker's status and settings. */
    private static void cluster() throws Exception {
        with((admin, broker) -> {
            equal("clusters", 1, admin.examineBrokerClusterInfo().getClusterAddrTable().size());
            Map<String, String> facts = admin.fetchBrokerRuntimeStats(broker).getTable();
            for (String fact : List.of("brokerVersionDesc", "bootTimestamp", "runtime", "commitLogDiskRatio")) {
                that(fact, facts.get(fact) != null && !facts.get(fact).isEmpty());
            }
            Properties settings = admin.getBrokerConfig(broker);
            for (String setting : List.of("brokerName", "brokerClusterName", "brokerId", "listenPort", "fileReservedTime",
                "autoCreateTopicEnable", "flushDiskType")) {
                that(setting, settings.getProperty(setting) != null);
            }
            equal("name servers", List.of(Harness.NAMESRV), admin.getNameServerAddressList());
        });
    }

    /** Add, change, status, route, consumers, reset, skip, delete. */
    private static void topic() throws Exception {
        String topic = Harness.unique("dashboard-topic");
        String group = Harness.group();
        with((admin, broker) -> {
            TopicConfig config = new TopicConfig(topic, 2, 2);
            admin.createAndUpdateTopicConfig(broker, config);
            config.setReadQueueNums(3);
            config.setWriteQueueNums(3);
            admin.createAndUpdateTopicConfig(broker, config);
            equal("queues", 3, admin.examineTopicConfig(broker, topic).getReadQueueNums());
            that("listed", admin.getUserTopicConfig(broker, false, 5_000).getTopicConfigTable().containsKey(topic));
            TopicRouteData route = admin.examineTopicRouteInfo(topic);
            equal("queues of the route", 3, route.getQueueDatas().get(0).getWriteQueueNums());
            CountDownLatch seen = new CountDownLatch(1);
            DefaultMQPushConsumer consumer = consumer(group, topic, false, counting(seen));
            DefaultMQProducer producer = sender(Harness.unique("producers"), false);
            send(producer, topic, "key");
            await(seen);
            TopicStatsTable stats = admin.examineTopicStats(broker, topic);
            equal("queues of the status", 3, stats.getOffsetTable().size());
            that("sent a second", stats.getTopicPutTps() > 0);
            long stored = stats.getOffsetTable().values().stream().mapToLong(offset -> offset.getMaxOffset()).sum();
            equal("stored", 1L, stored);
            equal("consumers", Set.of(group), Set.copyOf(admin.queryTopicConsumeByWho(topic).getGroupList()));
            equal("clusters", 1, admin.getTopicClusterList(topic).size());
            equal("reset", 3, admin.resetOffsetByTimestamp(topic, group, 0, true).size());
            equal("skipped", 3, admin.resetOffsetByTimestamp(topic, group, -1, true).size());
            producer.shutdown();
            consumer.shutdown();
            admin.deleteTopicInBroker(Set.of(broker), topic);
            admin.deleteTopicInNameServer(Set.of(Harness.NAMESRV), topic);
            that("gone", !admin.fetchAllTopicList().getTopicList().contains(topic));
        });
    }

    /** Groups with lag and rates, clients and what they run, configuration. */
    private static void consumer() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        CountDownLatch seen = new CountDownLatch(2);
        DefaultMQProducer producer = sender(Harness.unique("producers"), false);
        DefaultMQPushConsumer consumer = consumer(group, topic, false, counting(seen));
        send(producer, topic, "one");
        send(producer, topic, "two");
        await(seen);
        with((admin, broker) -> {
            that("listed", admin.getAllSubscriptionGroup(broker, 5_000).getSubscriptionGroupTable().containsKey(group));
            ConsumeStats stats = await("progress", () -> {
                ConsumeStats told = admin.examineConsumeStats(group);
                boolean isTold = told.getOffsetTable().keySet().stream().anyMatch(queue -> queue.getTopic().equals(topic));
                return isTold && told.computeTotalDiff() == 0 ? told : null;
            });
            that("a second", stats.getConsumeTps() > 0);
            ConsumerConnection clients = admin.examineConsumerConnectionInfo(group);
            equal("clients", 1, clients.getConnectionSet().size());
            String client = clients.getConnectionSet().iterator().next().getClientId();
            ConsumerRunningInfo running = admin.getConsumerRunningInfo(group, client, true);
            that("subscribed", running.getSubscriptionSet().stream().anyMatch(one -> one.getSubString().equals("*")));
            that("stacks", running.getJstack() != null && running.getJstack().contains("ConsumeMessageThread"));
            that("topics", admin.queryTopicsByConsumer(group).getTopicList().contains(topic));
            that("time spans", !admin.queryConsumeTimeSpan(topic, group).isEmpty());
            that("client's place", admin.getConsumeStatus(topic, group, client).containsKey(client));
            SubscriptionGroupConfig config = admin.examineSubscriptionGroupConfig(broker, group);
            config.setRetryMaxTimes(5);
            admin.createAndUpdateSubscriptionGroupConfig(broker, config);
            equal("retries", 5, admin.examineSubscriptionGroupConfig(broker, group).getRetryMaxTimes());
            consumer.shutdown();
            admin.deleteSubscriptionGroup(broker, group, true);
            that("gone", !admin.getAllSubscriptionGroup(broker, 5_000).getSubscriptionGroupTable().containsKey(group));
        });
        producer.shutdown();
    }

    private static void producer() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.unique("producers");
        DefaultMQProducer producer = sender(group, false);
        send(producer, topic, "key");
        with((admin, broker) -> {
            // Known from its first heartbeat on.
            equal("connections", 1, await("producer", () -> admin.examineProducerConnectionInfo(group, topic)).getConnectionSet().size());
            that("listed", admin.getAllProducerInfo(broker).getData().containsKey(group));
        });
        producer.shutdown();
    }

    /** By id, by key, by topic and time; who consumed it; consume it again. */
    private static void message() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        CountDownLatch first = new CountDownLatch(1);
        CountDownLatch again = new CountDownLatch(2);
        DefaultMQProducer producer = sender(Harness.unique("producers"), false);
        DefaultMQPushConsumer consumer = consumer(group, topic, false, (messages, context) -> {
            first.countDown();
            again.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        SendResult sent = send(producer, topic, "the-key");
        await(first);
        with((admin, broker) -> {
            MessageExt byUnique = await("message", () -> admin.viewMessage(topic, sent.getMsgId()));
            equal("by the client's id", sent.getMsgId(), byUnique.getMsgId());
            equal("by the broker's id", sent.getMsgId(), admin.viewMessage(topic, sent.getOffsetMsgId()).getMsgId());
            QueryResult byKey = admin.queryMessage(topic, "the-key", 64, 0, System.currentTimeMillis() + 1_000);
            equal("by key", 1, byKey.getMessageList().size());
            equal("by time", List.of("shown"), bodies(topic));
            List<MessageTrack> tracks = await("who consumed it", () -> {
                List<MessageTrack> told = admin.messageTrackDetail(byUnique);
                return told.isEmpty() || !told.get(0).getTrackType().name().startsWith("CONSUMED") ? null : told;
            });
            equal("consumer", group, tracks.get(0).getConsumerGroup());
            String client = admin.examineConsumerConnectionInfo(group).getConnectionSet().iterator().next().getClientId();
            ConsumeMessageDirectlyResult result = admin.consumeMessageDirectly(group, client, topic, sent.getMsgId());
            equal("result", CMResult.CR_SUCCESS, result.getConsumeResult());
        });
        await(again);
        producer.shutdown();
        consumer.shutdown();
    }

    /** As the page does it: offsets by time, then pulls. */
    private static List<String> bodies(String topic) throws Exception {
        DefaultMQPullConsumer reader = new DefaultMQPullConsumer(MixAll.TOOLS_CONSUMER_GROUP, Tool.hook());
        reader.setNamesrvAddr(Harness.NAMESRV);
        reader.setInstanceName(Harness.unique("reader"));
        reader.start();
        try {
            List<String> bodies = new java.util.ArrayList<>();
            for (MessageQueue queue : reader.fetchSubscribeMessageQueues(topic)) {
                long from = reader.searchOffset(queue, 0);
                long to = reader.searchOffset(queue, System.currentTimeMillis() + 1_000);
                while (from < to) {
                    PullResult pulled = reader.pull(queue, "*", from, 32);
                    if (pulled.getPullStatus() != PullStatus.FOUND) {
                        break;
                    }
                    pulled.getMsgFoundList().forEach(message -> bodies.add(new String(message.getBody(), StandardCharsets.UTF_8)));
                    from = pulled.getNextBeginOffset();
                }
            }
            return bodies;
        } finally {
            reader.shutdown();
        }
    }

    /** The life of a message as its clients told it: found in the trace topic by the message's id. */
    private static void trace() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        CountDownLatch seen = new CountDownLatch(1);
        DefaultMQProducer producer = sender(Harness.unique("producers"), true);
        DefaultMQPushConsumer consumer = consumer(group, topic, true, counting(seen));
        SendResult sent = send(producer, topic, "traced");
        await(seen);
        with((admin, broker) -> await("whole trace", () -> {
            long now = System.currentTimeMillis();
            StringBuilder told = new StringBuilder();
            QueryResult found = admin.queryMessage(TRACE_TOPIC, sent.getMsgId(), 64, now - 3_600_000, now + 60_000);
            found.getMessageList().forEach(one -> told.append(new String(one.getBody(), StandardCharsets.UTF_8)));
            String all = told.toString();
            return all.contains("Pub") && all.contains("SubBefore") && all.contains("SubAfter") ? all : null;
        }));
        String shown = Tool.run("queryMsgTraceById", "-i", sent.getMsgId());
        Tool.holds(shown, "Pub", "Sub ", group);
        producer.shutdown();
        consumer.shutdown();
    }

    /** Query by time and by id, and resend: the group's client consumes the dead letter. */
    private static void deadLetters() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        String letters = MixAll.getDLQTopic(group);
        CountDownLatch failed = new CountDownLatch(1);
        CountDownLatch resent = new CountDownLatch(1);
        DefaultMQProducer producer = sender(Harness.unique("producers"), false);
        DefaultMQPushConsumer consumer = consumer(group, topic, false, (messages, context) -> {
            if (failed.getCount() > 0) {
                failed.countDown();
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            resent.countDown();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        SendResult sent = send(producer, topic, "dead");
        await(failed);
        with((admin, broker) -> {
            await("dead letter", () -> bodies(letters).equals(List.of("shown")) ? letters : null);
            MessageExt letter = await("letter by id", () -> admin.viewMessage(letters, sent.getMsgId()));
            equal("origin", topic, letter.getProperty("DLQ_ORIGIN_TOPIC"));
            equal("body", "shown", new String(letter.getBody(), StandardCharsets.UTF_8));
            String client = admin.examineConsumerConnectionInfo(group).getConnectionSet().iterator().next().getClientId();
            ConsumeMessageDirectlyResult result = admin.consumeMessageDirectly(group, client, letters, sent.getMsgId());
            equal("result", CMResult.CR_SUCCESS, result.getConsumeResult());
            Map<String, String> properties = new HashMap<>(letter.getProperties());
            that("exported: " + properties, properties.containsKey("UNIQ_KEY"));
        });
        await(resent);
        producer.shutdown();
        consumer.shutdown();
    }
}
