package mqadmin;

import static kit.Expect.that;
import static mqadmin.Tool.count;
import static mqadmin.Tool.find;
import static mqadmin.Tool.holds;
import static mqadmin.Tool.lacks;
import static mqadmin.Tool.run;
import static mqadmin.Tool.runFor;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import kit.Harness;

/** Commands on brokers and clusters. */
final class Brokers {
    private Brokers() {
    }

    static void addTo(Harness harness) {
        harness.addAlone("mqadmin-cluster", Brokers::cluster)
            .addAlone("mqadmin-broker", Brokers::broker)
            .addAlone("mqadmin-config", Brokers::config)
            .addAlone("mqadmin-cleaning", Brokers::cleaning)
            .addAlone("mqadmin-export", Brokers::export)
            .addAlone("mqadmin-local", Brokers::local)
            .addAlone("mqadmin-not-applicable", Brokers::notApplicable);
    }

    /** Commands that read files of the original's and ask no broker: they say that there is none. */
    private static void local() throws Exception {
        Path none = Files.createTempDirectory("mqadmin").resolve("none");
        holds(run("dumpCompactionLog", "-f", none.toString()), "not exist.");
        holds(run("exportMetadataInRocksDB", "-p", none.toString(), "-t", "topics"), "RocksDB path is invalid.");
    }

    /** clusterList, clusterRT, statsAll, haStatus. */
    private static void cluster() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(1);
        holds(run("clusterList"), place.cluster(), place.broker(), place.address(), "true");
        holds(run("clusterList", "-m"), place.broker(), "#InTotalToday");
        String times = runFor(5_000, "clusterRT", "-a", "3", "-s", "16", "-i", "1", "-c", place.cluster());
        that("sends in: " + times, count(times, "^" + place.cluster() + " +" + place.broker() + " +\\S+ +3 +0") >= 1);
        holds(run("statsAll", "-t", topic), topic, "NO_CONSUMER");
        holds(run("haStatus", "-b", place.address()), "MasterAddr", "SlaveNum");
    }

    /** brokerStatus, getBrokerConfig, sendMsgStatus. */
    private static void broker() throws Exception {
        Tool.Place place = Tool.place();
        holds(run("brokerStatus", "-b", place.address()), "brokerVersionDesc", "commitLogMaxOffset", "putTps");
        holds(run("brokerStatus", "-c", place.cluster()), place.address(), "brokerVersionDesc");
        holds(run("getBrokerConfig", "-b", place.address()), "brokerName", place.broker(), place.cluster());
        String sent = run("sendMsgStatus", "-b", place.broker(), "-s", "10", "-c", "3");
        that("sends in: " + sent, count(sent, "sendStatus=SEND_OK") == 3);
    }

    /** updateBrokerConfig, updateNamesrvConfig: what is changed is in force; what cannot be is refused. */
    private static void config() throws Exception {
        Tool.Place place = Tool.place();
        String broker = place.address();
        String before = find(run("getBrokerConfig", "-b", broker), "fileReservedTime\\s+=\\s+(\\d+)");
        try {
            holds(run("updateBrokerConfig", "-b", broker, "-k", "fileReservedTime", "-v", "48"), "update broker config success");
            String config = run("getBrokerConfig", "-b", broker);
            that("hours in: " + config, config.matches("(?s).*fileReservedTime +=  48\\s.*"));
            that("milliseconds in: " + config, config.matches("(?s).*store.retention_ms +=  172800000\\s.*"));
            holds(run("updateBrokerConfig", "-b", broker, "-k", "store.retention_ms", "-v", "7200000"), "success");
            that("hours", run("getBrokerConfig", "-b", broker).matches("(?s).*fileReservedTime +=  2\\s.*"));
        } finally {
            holds(run("updateBrokerConfig", "-b", broker, "-k", "fileReservedTime", "-v", before), "success");
        }
        holds(run("updateBrokerConfig", "-b", broker, "-k", "sendMessageThreadPoolNums", "-v", "4"),
            "there is no setting `sendMessageThreadPoolNums` here");
        holds(run("updateBrokerConfig", "-b", broker, "-k", "flushDiskType", "-v", "ASYNC_FLUSH"),
            "`replica.flush` is read at the start only");
        holds(run("updateNamesrvConfig", "-k", "orderMessageEnable", "-v", "true"),
            "there is no setting `orderMessageEnable` here");
    }

    /** cleanExpiredCQ, cleanUnusedTopic, deleteExpiredCommitLog. */
    private static void cleaning() throws Exception {
        Tool.Place place = Tool.place();
        for (String command : List.of("cleanExpiredCQ", "cleanUnusedTopic", "deleteExpiredCommitLog")) {
            holds(run(command, "-b", place.address()), "success");
        }
    }

    /** exportMetadata, exportConfigs. */
    private static void export() throws Exception {
        Tool.Place place = Tool.place();
        String topic = Harness.topic(3);
        String group = Harness.group();
        Path folder = Files.createTempDirectory("mqadmin");
        holds(run("exportMetadata", "-c", place.cluster(), "-f", folder.toString()), "success");
        holds(Files.readString(folder.resolve("metadata.json")), topic, group);
        holds(run("exportConfigs", "-c", place.cluster(), "-f", folder.toString()), "success");
        holds(Files.readString(folder.resolve("configs.json")), place.broker());
    }

    /** What has no subject here is refused with the reason. */
    private static void notApplicable() throws Exception {
        Tool.Place place = Tool.place();
        String broker = place.address();
        String topic = Harness.topic(1);
        List<String> answers = List.of(
            run("getBrokerEpoch", "-b", place.broker()),
            run("getColdDataFlowCtrInfo", "-b", broker),
            run("updateColdDataFlowCtrGroupConfig", "-b", broker, "-g", topic, "-v", "1024"),
            run("removeColdDataFlowCtrGroupConfig", "-b", broker, "-g", topic),
            run("setCommitLogReadAheadMode", "-b", broker, "-m", "0"),
            run("switchTimerEngine", "-b", broker, "-e", "F"),
            run("resetMasterFlushOffset", "-b", broker, "-o", "1"),
            run("checkRocksdbCqWriteProgress", "-c", place.cluster()),
            run("exportPopRecord", "-c", place.cluster()),
            run("rocksDBConfigToJson", "-c", place.cluster()),
            run("updateStaticTopic", "-t", Harness.unique("static"), "-c", place.cluster(), "-qn", "2"),
            run("addBroker", "-c", broker, "-b", "/no/such/broker.conf"),
            run("removeBroker", "-c", broker, "-b", place.cluster() + ":" + place.broker() + ":0"),
            run("getSyncStateSet", "-a", broker, "-b", place.broker()),
            run("electMaster", "-a", broker, "-b", "0", "-bn", place.broker(), "-c", place.cluster()),
            run("cleanBrokerMetadata", "-a", broker, "-bn", place.broker(), "-c", place.cluster(), "-b", "0"),
            run("updateControllerConfig", "-a", broker, "-k", "enableElectUncleanMaster", "-v", "false"),
            run("getControllerMetaData", "-a", broker),
            run("getControllerConfig", "-a", broker));
        // The tool finds by itself that nothing is mapped.
        holds(run("remappingStaticTopic", "-t", topic, "-c", place.cluster()), "Mapping info should not be null");
        for (String answer : answers) {
            holds(answer, "not applicable here: ");
            lacks(answer, "not supported");
        }
    }
}
