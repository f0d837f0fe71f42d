package mqadmin;

import static kit.Expect.equal;
import static kit.Expect.that;
import static mqadmin.Tool.count;
import static mqadmin.Tool.find;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.run;

import java.nio.charset.StandardCharsets;
import kit.Harness;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** Commands on messages and queues. */
final class Messages {
    private Messages() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-messages", Messages::lookUp)
            .addAlone("mqadmin-print", Messages::print)
            .addAlone("mqadmin-send", Messages::send)
            .addAlone("mqadmin-query-cq", Messages::consumeQueue);
    }

    private static SendResult put(String topic, String tag, String key, String body) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), Tool.hook());
        producer.setNamesrvAddr(Harness.NAMESRV);
        producer.setInstanceName(Harness.unique("producer"));
        producer.start();
        SendResult sent = producer.send(new Message(topic, tag, key, body.getBytes(StandardCharsets.UTF_8)));
        producer.shutdown();
        return sent;
    }

    /** queryMsgById, queryMsgByKey, queryMsgByUniqueKey, queryMsgByOffset. */
    private static void lookUp() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(1);
        SendResult sent = put(topic, "red", "the-key", "looked for");
        holds(run("queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId()), topic, "red", "the-key");
        holds(run("queryMsgByUniqueKey", "-t", topic, "-i", sent.getMsgId()), topic, "red", sent.getMsgId());
        holds(run("queryMsgByKey", "-t", topic, "-k", "the-key"), sent.getMsgId());
        holds(run("queryMsgByOffset", "-t", topic, "-b", place.broker(), "-i", "0", "-o", "0"), topic,
            sent.getMsgId());
    }

    /** printMsg, printMsgByQueue, consumeMessage. */
    private static void print() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(2);
        SendResult one = put(topic, "red", "k1", "first one");
        SendResult two = put(topic, "blue", "k2", "second one");
        holds(run("printMsg", "-t", topic, "-d", "true"), one.getMsgId(), two.getMsgId(), "first one", "second one");
        String queue = String.valueOf(two.getMessageQueue().getQueueId());
        holds(run("printMsgByQueue", "-t", topic, "-a", place.broker(), "-i", queue, "-p", "true", "-d", "true"),
            two.getMsgId(), "second one");
        String consumed = run("consumeMessage", "-t", topic, "-c", "10");
        that("both of: " + consumed, consumed.contains("first one") && consumed.contains("second one"));
    }

    /** sendMessage, checkMsgSendRT. */
    private static void send() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(2);
        String sent = run("sendMessage", "-t", topic, "-p", "by hand", "-k", "hand", "-c", "red", "-b",
            place.broker(), "-i", "1");
        String row = find(sent, "^" + place.broker() + " .*$");
        equal("queue and result", "1 SEND_OK", row.replaceAll("^\\S+ +(\\d+) +(\\S+).*$", "$1 $2"));
        String id = find(row, "(\\S+) *$");
        holds(run("queryMsgByUniqueKey", "-t", topic, "-i", id), "hand", "red");
        String times = run("checkMsgSendRT", "-t", topic, "-a", "3", "-s", "10");
        equal("sent", 3, count(times, "^" + place.broker() + " +\\d +true"));
        holds(times, "Avg RT: ");
    }

    private static void consumeQueue() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(1);
        put(topic, "red", "k", "one");
        put(topic, "red", "k", "two");
        String entries = run("queryCq", "-b", place.address(), "-t", topic, "-q", "0", "-i", "0", "-c", "5");
        holds(entries, "max: 2, min: 0", "tagsCode=" + "red".hashCode());
        equal("entries", 2, count(entries, "idx: \\d"));
    }
}
