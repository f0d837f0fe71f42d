package mqadmin;

import static kit.Expect.equal;
import static mqadmin.Tool.count;
import static mqadmin.Tool.file;
import static mqadmin.Tool.find;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.lacks;
import static mqadmin.Tool.run;

import kit.Harness;

/** Commands on topics and on the name server. */
final class Topics {
    private Topics() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-topic", Topics::life)
            .addAlone("mqadmin-topic-permission", Topics::permission)
            .addAlone("mqadmin-topic-list-file", Topics::listFile)
            .addAlone("mqadmin-topic-allocate", Topics::allocate)
            .addAlone("mqadmin-order-conf", Topics::orderConf)
            .addAlone("mqadmin-kv", Topics::keyValues)
            .addAlone("mqadmin-write-permission", Topics::writePermission)
            .addAlone("mqadmin-namesrv-config", Topics::namesrvConfig);
    }

    /** updateTopic, topicList, topicRoute, topicStatus, topicClusterList, deleteTopic. */
    private static void life() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.unique("topic");
        holds(run("updateTopic", "-b", place.address(), "-t", topic, "-r", "3", "-w", "3", "-a", "+message.type=FIFO"),
            "create topic to " + place.address() + " success");
        holds(run("topicList"), topic);
        holds(run("topicList", "-c", place.cluster()), topic);
        String route = run("topicRoute", "-t", topic);
        holds(route, "\"brokerName\":\"" + place.broker() + "\"", "\"readQueueNums\":3", "\"perm\":6", place.address());
        equal("queues", 3, count(run("topicStatus", "-t", topic), "^" + place.broker() + " "));
        holds(run("topicClusterList", "-t", topic), place.cluster());
        holds(run("updateTopic", "-c", place.cluster(), "-t", topic, "-r", "5", "-w", "5"), "success");
        holds(run("topicRoute", "-t", topic), "\"readQueueNums\":5");
        holds(run("deleteTopic", "-c", place.cluster(), "-t", topic), "delete topic [" + topic + "] from cluster",
            "from NameServer success");
        lacks(run("topicList"), topic);
    }

    private static void permission() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(2);
        holds(run("updateTopicPerm", "-c", place.cluster(), "-t", topic, "-p", "4"), "from 6 to 4", "success");
        holds(run("topicRoute", "-t", topic), "\"perm\":4");
        holds(run("updateTopicPerm", "-b", place.address(), "-t", topic, "-p", "6"), "from 4 to 6", "success");
        holds(run("topicRoute", "-t", topic), "\"perm\":6");
    }

    private static void listFile() throws Exception {
        Tool.Place place = Tool.place();
        String one = Harness.unique("topic");
        String other = Harness.unique("topic");
        String list = "[{\"topicName\":\"" + one + "\",\"readQueueNums\":3,\"writeQueueNums\":3,\"perm\":6},"
            + "{\"topicName\":\"" + other + "\",\"readQueueNums\":1,\"writeQueueNums\":1,\"perm\":4}]";
        holds(run("updateTopicList", "-b", place.address(), "-f", file(list)), "success");
        holds(run("topicRoute", "-t", one), "\"readQueueNums\":3", "\"perm\":6");
        holds(run("topicRoute", "-t", other), "\"readQueueNums\":1", "\"perm\":4");
    }

    private static void allocate() throws Exception {
        String topic = Harness.topic(4);
        String shared = run("allocateMQ", "-t", topic, "-i", "10.0.0.1,10.0.0.2");
        holds(shared, "10.0.0.1", "10.0.0.2");
        equal("queues", 4, count(shared, "\"queueId\":"));
    }

    private static void orderConf() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(4);
        String order = place.broker() + ":4";
        holds(run("updateOrderConf", "-t", topic, "-m", "put", "-v", order), "update orderConf success");
        holds(run("updateOrderConf", "-t", topic, "-m", "get"), "orderConf=[" + order + "]");
        holds(run("topicRoute", "-t", topic), "\"orderTopicConf\":\"" + order + "\"");
        holds(run("updateOrderConf", "-t", topic, "-m", "delete"), "delete orderConf success");
        lacks(run("topicRoute", "-t", topic), "orderTopicConf");
    }

    private static void keyValues() throws Exception {
        String namespace = Harness.unique("namespace");
        holds(run("updateKvConfig", "-s", namespace, "-k", "colour", "-v", "red"), "create or update kv config");
        holds(run("deleteKvConfig", "-s", namespace, "-k", "colour"), "delete kv config from namespace success");
    }

    /** wipeWritePerm, addWritePerm: producers are kept away from a broker, and sent there again. */
    private static void writePermission() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(2);
        try {
            String wiped = find(run("wipeWritePerm", "-b", place.broker()), "(\\d+)$");
            kit.Expect.that("topics: " + wiped, Integer.parseInt(wiped) >= 1);
            holds(run("topicRoute", "-t", topic), "\"perm\":4");
        } finally {
            holds(run("addWritePerm", "-b", place.broker()), "OK, ");
        }
        holds(run("topicRoute", "-t", topic), "\"perm\":6");
    }

    private static void namesrvConfig() throws Exception {
        holds(run("getNamesrvConfig"), Harness.NAMESRV, "listenPort");
    }
}
