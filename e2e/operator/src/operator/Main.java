package operator;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.remoting.protocol.body.AclInfo;
import org.apache.rocketmq.remoting.protocol.subscription.CustomizedRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicy;
import org.apache.rocketmq.remoting.protocol.subscription.GroupRetryPolicyType;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.CommandUtil;

/**
 * Makes topics and groups through the official admin client, as an operator would.
 * One command per input line, one answer per command: OPERATED, or REFUSED with the reason.
 *
 * <pre>
 * topic NAME TYPE QUEUES [attribute=value]...
 * group NAME [retries=N] [step-ms=N] [orderly=1]     step-ms: the delay before every retry
 * permission TOPIC BITS                  4 read, 2 write
 * fill TOPIC COUNT                       sends messages
 * await-topic NAME                       until the topic exists
 * reset TOPIC GROUP                      the group starts at the topic's beginning again
 * pop-mode TOPIC GROUP                   the group pops this topic instead of pulling it
 * user NAME SECRET                       a normal user
 * disable NAME
 * policy NAME RESOURCE ACTIONS DECISION [ADDRESSES|-] [Custom|Default]
 * </pre>
 */
public final class Main {
    private static final long PATIENCE_MS = 40_000;

    private final DefaultMQAdminExt admin = new DefaultMQAdminExt(hook(), 10_000);

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        // Libraries that print must not spoil the answers.
        System.setOut(System.err);
        Main operator = new Main();
        operator.admin.setNamesrvAddr(System.getenv("NAMESRV"));
        operator.admin.setInstanceName("operator");
        operator.admin.start();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String command = commands.readLine(); command != null; command = commands.readLine()) {
            answers.println(operator.answer(command.trim().split(" +")));
            answers.flush();
        }
        operator.admin.shutdown();
    }

    /** Signs requests, where the server asks for that. */
    private static RPCHook hook() {
        String key = System.getenv("ACCESS_KEY");
        return key == null ? null : new AclClientRPCHook(new SessionCredentials(key, System.getenv("SECRET_KEY")));
    }

    private String answer(String[] command) {
        try {
            carryOut(command);
            return "OPERATED";
        } catch (Exception | LinkageError refused) {
            refused.printStackTrace();
            return "REFUSED " + String.join(" ", command) + ": " + refused.toString().replace('\n', ' ');
        }
    }

    private void carryOut(String[] command) throws Exception {
        switch (command[0]) {
            case "topic" -> makeTopic(command[1], command[2], Integer.parseInt(command[3]),
                Arrays.asList(command).subList(4, command.length));
            case "group" -> makeGroup(command[1], options(command, 2));
            case "lite-group" -> makeLiteGroup(command[1], command[2],
                Arrays.asList(command).subList(3, command.length));
            case "lite-check" -> checkLite(command[1], command[2], command[3], Integer.parseInt(command[4]));
            case "permission" -> setPermission(command[1], Integer.parseInt(command[2]));
            case "fill" -> fill(command[1], Integer.parseInt(command[2]));
            case "await-topic" -> awaitRoute(command[1]);
            case "reset" -> admin.resetOffsetByTimestamp(command[1], command[2], 0, true);
            case "pop-mode" -> setPopMode(command[1], command[2]);
            case "user" -> {
                for (String master : masters()) {
                    admin.createUser(master, command[1], command[2], "Normal");
                }
            }
            case "disable" -> {
                for (String master : masters()) {
                    admin.updateUser(master, command[1], null, null, "disable");
                }
            }
            case "policy" -> makePolicy(command);
            default -> throw new IllegalArgumentException("no such command");
        }
    }

    private void setPermission(String name, int bits) throws Exception {
        for (String master : masters()) {
            TopicConfig topic = admin.examineTopicConfig(master, name);
            topic.setPerm(bits);
            // Attributes are changes: none.
            topic.setAttributes(new HashMap<>());
            admin.createAndUpdateTopicConfig(master, topic);
        }
    }

    private void fill(String topic, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("operator", hook());
        producer.setNamesrvAddr(System.getenv("NAMESRV"));
        producer.start();
        for (int index = 0; index < count; index++) {
            producer.send(new Message(topic, Integer.toString(index).getBytes()));
        }
        producer.shutdown();
    }

    private void makePolicy(String[] command) throws Exception {
        List<String> from = command.length < 6 || command[5].equals("-") ? List.of() : List.of(command[5].split(","));
        AclInfo policy = AclInfo.of("User:" + command[1], List.of(command[2]), List.of(command[3].split(",")), from,
            command[4]);
        if (command.length > 6) {
            policy.getPolicies().forEach(part -> part.setPolicyType(command[6]));
        }
        for (String master : masters()) {
            admin.createAcl(master, policy);
        }
    }

    private void makeTopic(String name, String type, int queues, List<String> more) throws Exception {
        TopicConfig topic = new TopicConfig(name, queues, queues);
        Map<String, String> attributes = new HashMap<>(Map.of("+message.type", type));
        for (String attribute : more) {
            int equals = attribute.indexOf('=');
            attributes.put("+" + attribute.substring(0, equals), attribute.substring(equals + 1));
        }
        topic.setAttributes(attributes);
        for (String master : masters()) {
            admin.createAndUpdateTopicConfig(master, topic);
        }
        awaitRoute(name);
    }

    /** The retry topic is made along, so that 4.x clients learn its route when they start. */
    private void makeGroup(String name, Map<String, Integer> options) throws Exception {
        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName(name);
        if (options.containsKey("retries")) {
            group.setRetryMaxTimes(options.get("retries"));
        }
        group.setConsumeMessageOrderly(options.containsKey("orderly"));
        if (options.containsKey("step-ms")) {
            group.setGroupRetryPolicy(sameDelayAlways(options.get("step-ms")));
        }
        for (String master : masters()) {
            admin.createAndUpdateSubscriptionGroupConfig(master, group);
            admin.createAndUpdateTopicConfig(master, new TopicConfig("%RETRY%" + name, 1, 1));
        }
        awaitRoute("%RETRY%" + name);
    }

    /** A group that is bound to a parent of lite topics. */
    private void makeLiteGroup(String name, String parent, List<String> more) throws Exception {
        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName(name);
        group.setConsumeMessageOrderly(true);
        Map<String, String> attributes = new HashMap<>(Map.of("+lite.bind.topic", parent));
        for (String attribute : more) {
            int equals = attribute.indexOf('=');
            attributes.put("+" + attribute.substring(0, equals), attribute.substring(equals + 1));
        }
        group.setAttributes(attributes);
        for (String master : masters()) {
            admin.createAndUpdateSubscriptionGroupConfig(master, group);
        }
    }

    /** What the lite commands of mqadmin ask; the group has consumed the one message of the lite topic. */
    private void checkLite(String parent, String lite, String group, int liteTopics) throws Exception {
        for (String master : masters()) {
            expect("lite topics", liteTopics, admin.getParentTopicInfo(master, parent).getLiteTopicCount());
            expect("ttl", 60, admin.getParentTopicInfo(master, parent).getTtl());
            var topic = admin.getLiteTopicInfo(master, parent, lite);
            expect("end", 1L, topic.getTopicOffset().getMaxOffset());
            expect("subscribers", 1, topic.getSubscriber().size());
            String client = topic.getSubscriber().iterator().next().clientId;
            var wanted = admin.getLiteClientInfo(master, parent, group, client);
            expect("the client's lite topics", 1, wanted.getLiteTopicCount());
            expect("their end", 1L, admin.getLiteGroupInfo(master, group, lite, 0)
                .getLiteTopicOffsetWrapper().getBrokerOffset());
            expect("bound", true, admin.getBrokerLiteInfo(master).getGroupMeta().get(parent).contains(group));
            admin.triggerLiteDispatch(master, group, client);
        }
    }

    private static void expect(String what, Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new IllegalStateException(what + ": expected " + expected + ", found " + found);
        }
    }

    private void setPopMode(String topic, String group) throws Exception {
        for (String master : masters()) {
            admin.setMessageRequestMode(master, topic, group, MessageRequestMode.POP, 8, 5_000);
        }
    }

    private static GroupRetryPolicy sameDelayAlways(int delayMs) {
        long[] delays = new long[16];
        Arrays.fill(delays, delayMs);
        GroupRetryPolicy policy = new GroupRetryPolicy();
        policy.setType(GroupRetryPolicyType.CUSTOMIZED);
        policy.setCustomizedRetryPolicy(new CustomizedRetryPolicy(delays));
        return policy;
    }

    /** Brokers of every cluster, as `mqadmin` finds them; a broker registers in its own time. */
    private Set<String> masters() throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            Set<String> clusters = admin.examineBrokerClusterInfo().getClusterAddrTable().keySet();
            if (!clusters.isEmpty()) {
                return CommandUtil.fetchMasterAddrByClusterName(admin, clusters.iterator().next());
            }
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException("the name server knows no cluster");
            }
            Thread.sleep(50);
        }
    }

    /** A broker tells its name server of a new topic in its own time; there is no event to wait for. */
    private void awaitRoute(String topic) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            try {
                admin.examineTopicRouteInfo(topic);
                return;
            } catch (Exception unknown) {
                if (System.currentTimeMillis() > deadline) {
                    throw unknown;
                }
                Thread.sleep(50);
            }
        }
    }

    private static Map<String, Integer> options(String[] command, int from) {
        Map<String, Integer> options = new HashMap<>();
        for (String option : Arrays.copyOfRange(command, from, command.length)) {
            int equals = option.indexOf('=');
            options.put(option.substring(0, equals), Integer.parseInt(option.substring(equals + 1)));
        }
        return options;
    }
}
