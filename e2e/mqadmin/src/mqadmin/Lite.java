package mqadmin;

import static kit.Expect.that;
import static mqadmin.Tool.count;
import static mqadmin.Tool.find;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.lacks;
import static mqadmin.Tool.run;

import java.nio.charset.StandardCharsets;
import kit.Harness;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;

/** Commands on lite topics. */
final class Lite {
    /** `MessageConst.PROPERTY_LITE_TOPIC`: which lite topic of its parent a message is for. */
    private static final String LITE_TOPIC = "__LITE_TOPIC";

    private Lite() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-lite", Lite::commands);
    }

    /** getBrokerLiteInfo, getParentTopicInfo, getLiteTopicInfo, getLiteGroupInfo, getLiteClientInfo, triggerLiteDispatch. */
    private static void commands() throws Exception {
        Tool.Place place = Tool.place();
        String parent = Harness.unique("parent");
        String group = Harness.unique("group");
        Harness.operator("topic " + parent + " LITE 1 lite.topic.expiration=60");
        Harness.operator("lite-group " + group + " " + parent);
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), Tool.hook());
        producer.setNamesrvAddr(Harness.NAMESRV);
        producer.setInstanceName(Harness.unique("instance"));
        producer.start();
        for (String lite : new String[] {"a", "a", "b"}) {
            Message message = new Message(parent, "to a lite topic".getBytes(StandardCharsets.UTF_8));
            MessageAccessor.putProperty(message, LITE_TOPIC, lite);
            producer.send(message);
        }
        producer.shutdown();

        String broker = holds(run("getBrokerLiteInfo", "-b", place.address(), "-d"), "#Current LMQ", group, parent);
        that("lite topics in: " + broker, Integer.parseInt(find(broker, "^" + place.address() + " +\\S+ +\\d+ +(\\d+)")) >= 2);
        String parents = holds(run("getParentTopicInfo", "-p", parent), parent, group);
        that("two lite topics in: " + parents, count(parents, "^" + place.broker() + " +60 +2 ") == 1);
        String lite = run("getLiteTopicInfo", "-p", parent, "-l", "a", "-s");
        that("two messages in: " + lite, count(lite, "^" + place.broker() + " +0 +2 ") == 1);
        String unknown = run("getLiteTopicInfo", "-p", parent, "-l", "unknown");
        that("nothing in: " + unknown, count(unknown, "^" + place.broker() + " +0 +0 ") == 1);
        String all = run("getLiteGroupInfo", "-p", parent, "-g", group, "-k", "5");
        holds(all, "Total Lag Count: ", "TopK by lag count");
        holds(run("getLiteGroupInfo", "-p", parent, "-g", group, "-l", "a"), place.broker(), "Total Lag Count: 0");
        holds(run("getLiteClientInfo", "-p", parent, "-g", group, "-c", "no-such-client"), place.broker());
        lacks(holds(run("triggerLiteDispatch", "-p", parent, "-g", group), place.broker(), "dispatched"), "error");
    }
}
