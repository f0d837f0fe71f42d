package mqadmin;

import static kit.Expect.equal;
import static kit.Expect.that;
import static mqadmin.Tool.count;
import static mqadmin.Tool.file;
import static mqadmin.Tool.find;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.lacks;
import static mqadmin.Tool.run;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import kit.Harness;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Commands on consumer groups, on clients, and on how far groups are. */
final class Groups {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private Groups() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-group", Groups::life)
            .addAlone("mqadmin-group-list-file", Groups::listFile)
            .addAlone("mqadmin-clients", Groups::clients)
            .addAlone("mqadmin-offsets", Groups::offsets)
            .addAlone("mqadmin-rates", Groups::rates)
            .addAlone("mqadmin-monitoring", Groups::monitoring);
    }

    /** startMonitoring: it returns and goes on by itself, and writes what it finds into its log. */
    private static void monitoring() throws Exception {
        lacks(run("startMonitoring"), "command failed", "Exception");
    }

    /** updateSubGroup, getConsumerConfig, setConsumeMode, deleteSubGroup. */
    private static void life() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(1);
        String group = Harness.unique("group");
        holds(run("updateSubGroup", "-b", place.address(), "-g", group, "-r", "3", "-o", "true"),
            "create subscription group to " + place.address() + " success");
        String config = run("getConsumerConfig", "-g", group);
        that("retries in: " + config, config.matches("(?s).*retryMaxTimes +=  3.*"));
        that("order in: " + config, config.matches("(?s).*consumeMessageOrderly +=  true.*"));
        holds(run("setConsumeMode", "-b", place.address(), "-t", topic, "-g", group, "-m", "POP", "-q", "8"),
            "set consume mode to " + place.address() + " success");
        holds(run("deleteSubGroup", "-b", place.address(), "-g", group, "-r", "true"),
            "delete subscription group [" + group + "]", "success");
        lacks(run("getConsumerConfig", "-g", group), "retryMaxTimes");
    }

    private static void listFile() throws Exception {
        Tool.Place place = Tool.place();
        String one = Harness.unique("group");
        String other = Harness.unique("group");
        String list = "[{\"groupName\":\"" + one + "\",\"consumeEnable\":true,\"retryMaxTimes\":7},"
            + "{\"groupName\":\"" + other + "\",\"consumeEnable\":false}]";
        holds(run("updateSubGroupList", "-b", place.address(), "-f", file(list)), "success");
        that("retries", run("getConsumerConfig", "-g", one).matches("(?s).*retryMaxTimes +=  7.*"));
        that("off", run("getConsumerConfig", "-g", other).matches("(?s).*consumeEnable +=  false.*"));
    }

    private static DefaultMQProducer producer(String group) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(group, Tool.hook());
        producer.setNamesrvAddr(Harness.NAMESRV);
        producer.setInstanceName(Harness.unique("producer"));
        producer.setPollNameServerInterval(1_000);
        producer.start();
        return producer;
    }

    private static DefaultMQPushConsumer consumer(String group, String topic, CountDownLatch seen) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, Tool.hook());
        consumer.setNamesrvAddr(Harness.NAMESRV);
        consumer.setInstanceName(Harness.unique("consumer"));
        consumer.setPollNameServerInterval(1_000);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "red || blue");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> seen.countDown());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static void send(DefaultMQProducer producer, String topic, int count) throws Exception {
        for (int number = 0; number < count; number++) {
            byte[] body = ("number " + number).getBytes(StandardCharsets.UTF_8);
            producer.send(new Message(topic, "red", body));
        }
    }

    private static void await(CountDownLatch seen) throws Exception {
        that("consumed in time", seen.await(PATIENCE.toMillis(), TimeUnit.MILLISECONDS));
    }

    /** consumerConnection, consumerStatus, consumerProgress, producerConnection, producer, brokerConsumeStats. */
    private static void clients() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(2);
        String group = Harness.group();
        String producers = Harness.unique("producers");
        DefaultMQProducer producer = producer(producers);
        CountDownLatch seen = new CountDownLatch(4);
        DefaultMQPushConsumer consumer = consumer(group, topic, seen);
        send(producer, topic, 4);
        await(seen);
        holds(run("consumerConnection", "-g", group), "JAVA", topic, "red || blue", "CONSUME_PASSIVELY", "CLUSTERING");
        String status = run("consumerStatus", "-g", group);
        holds(status, "V5_5_0", "Same subscription in the same group of consumer");
        holds(run("consumerProgress"), group);
        holds(run("producerConnection", "-g", producers, "-t", topic), "JAVA", "127.0.0.1");
        holds(run("producer", "-b", place.address()), producers, "JAVA");
        producer.shutdown();
        // The consumer tells its progress every few seconds, and when it goes.
        consumer.shutdown();
        String progress = run("consumerProgress", "-g", group);
        equal("queues of " + topic, 2, count(progress, "^" + topic + " "));
        holds(progress, "Diff Total: ");
        holds(run("brokerConsumeStats", "-b", place.address()), topic, group, "Diff Total: ");
    }

    /** statsAll, consumerProgress, brokerStatus, clusterList and exportMetrics tell what passed. */
    private static void rates() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(1);
        String group = Harness.group();
        DefaultMQProducer producer = producer(Harness.unique("producers"));
        CountDownLatch seen = new CountDownLatch(12);
        DefaultMQPushConsumer consumer = consumer(group, topic, seen);
        send(producer, topic, 12);
        await(seen);
        consumer.shutdown();
        String stats = run("statsAll", "-t", topic);
        String row = find(stats, "^" + topic + " +" + group + " .*$");
        String[] words = row.trim().split(" +");
        that("sent a second in: " + row, Double.parseDouble(words[3]) > 0);
        that("received a second in: " + row, Double.parseDouble(words[4]) > 0);
        equal("sent today", "12", words[5]);
        equal("received today", "12", words[6]);
        positive(find(run("consumerProgress", "-g", group), "Consume TPS: (\\S+)"));
        String status = run("brokerStatus", "-b", place.address());
        for (String rate : java.util.List.of("putTps", "getTransferredTps", "getFoundTps", "getTotalTps")) {
            // Over ten minutes: the first two of the three are over before this is asked.
            positive(find(status, "^" + rate + " +: \\S+ \\S+ (\\S+)"));
        }
        that("today in: " + status, Long.parseLong(find(status, "^msgPutTotalTodayNow +: (\\d+)")) >= 12);
        String[] more = find(run("clusterList", "-m"), "^" + place.cluster() + " .*$").trim().split(" +");
        that("today in: " + String.join(" ", more), Long.parseLong(more[4]) >= 12 && Long.parseLong(more[5]) >= 12);
        String[] base = find(run("clusterList"), "^" + place.cluster() + " .*$").trim().split(" +");
        lacks(String.join(" ", base), "null");
        java.nio.file.Path folder = java.nio.file.Files.createTempDirectory("mqadmin");
        send(producer, topic, 3);
        producer.shutdown();
        holds(run("exportMetrics", "-c", place.cluster(), "-f", folder.toString()), "success");
        String metrics = java.nio.file.Files.readString(folder.resolve("metrics.json"));
        positive(find(metrics, "\"totalNormalInTps\":\\s*([0-9.]+)"));
    }

    private static void positive(String rate) {
        that("above zero: " + rate, Double.parseDouble(rate) > 0);
    }

    /** resetOffsetByTime, skipAccumulatedMessage, cloneGroupOffset, on a group that nobody is of. */
    private static void offsets() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        String clone = Harness.group();
        DefaultMQProducer producer = producer(Harness.unique("producers"));
        CountDownLatch seen = new CountDownLatch(3);
        DefaultMQPushConsumer consumer = consumer(group, topic, seen);
        send(producer, topic, 3);
        await(seen);
        consumer.shutdown();
        String reset = run("resetOffsetByTime", "-t", topic, "-g", group, "-s", "0");
        equal("offset", "0", find(reset, "^\\S+ +0 +(\\d+) *$"));
        String skipped = run("skipAccumulatedMessage", "-t", topic, "-g", group);
        equal("offset", "3", find(skipped, "^\\S+ +0 +(\\d+) *$"));
        holds(run("cloneGroupOffset", "-t", topic, "-s", group, "-d", clone), "clone group offset success");
        equal("cloned", "3", find(run("consumerProgress", "-g", clone), "^" + topic + " +\\S+ +0 +3 +(\\d+)"));
        producer.shutdown();
    }
}
