package access;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRemotingClient;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;

/** Calls of the 4.x protocol through the official client's connection, signed by its hook. */
public final class Main {
    private static final long PATIENCE_MS = 10_000;
    private static final String GROUP = "g";

    /** One for each user and secret. */
    private final Map<String, NettyRemotingClient> clients = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        Main program = new Main();
        Desk.serve(program::call);
        System.exit(0);
    }

    private Desk.Answer call(String user, String secret, String what, String on) throws Exception {
        RemotingCommand answer = client(user, secret).invokeSync(address(what), request(what, on), PATIENCE_MS);
        return new Desk.Answer(answer.getCode(), answer.getRemark());
    }

    /** Routes are asked for where clients do so. */
    private static String address(String what) {
        return System.getenv(what.equals("route") ? "ROUTES" : "BROKER");
    }

    private NettyRemotingClient client(String user, String secret) {
        return clients.computeIfAbsent(user + " " + secret, key -> {
            NettyRemotingClient client = new NettyRemotingClient(new NettyClientConfig());
            if (user != null) {
                client.registerRPCHook(new AclClientRPCHook(new SessionCredentials(user, secret)));
            }
            client.start();
            return client;
        });
    }

    private static RemotingCommand request(String what, String on) {
        return switch (what) {
            case "send" -> with(fields(RequestCode.SEND_MESSAGE_V2, "a", on.startsWith("%RETRY%") ? GROUP : "pg",
                "b", on, "c", "TBW102", "d", 4, "e", 0, "f", 0, "g", 1, "h", 0, "i", "", "j", 0, "k", false), "hello");
            case "send-v1" -> with(fields(RequestCode.SEND_MESSAGE, "producerGroup", "pg", "topic", on,
                "defaultTopic", "TBW102", "defaultTopicQueueNums", 4, "queueId", 0, "sysFlag", 0, "bornTimestamp", 1,
                "flag", 0, "properties", "", "reconsumeTimes", 0, "unitMode", false), "hello");
            case "pull" -> fields(RequestCode.PULL_MESSAGE, "consumerGroup", GROUP, "topic", on, "queueId", 0,
                "queueOffset", 0, "maxMsgNums", 1, "sysFlag", 4, "commitOffset", 0, "suspendTimeoutMillis", 0,
                "subscription", "*", "subVersion", 0, "expressionType", "TAG");
            case "pop" -> fields(RequestCode.POP_MESSAGE, "consumerGroup", GROUP, "topic", on, "queueId", 0,
                "maxMsgNums", 1, "invisibleTime", 30_000, "pollTime", 0, "bornTime", System.currentTimeMillis(),
                "initMode", 0, "expType", "TAG", "exp", "*", "order", false);
            case "beat" -> with(fields(RequestCode.HEART_BEAT), "{\"clientID\":\"c\",\"producerDataSet\":[],"
                + "\"consumerDataSet\":[{\"groupName\":\"g\",\"consumeType\":\"CONSUME_PASSIVELY\","
                + "\"messageModel\":\"CLUSTERING\",\"consumeFromWhere\":\"CONSUME_FROM_LAST_OFFSET\",\"unitMode\":false,"
                + "\"subscriptionDataSet\":[{\"topic\":\"" + on + "\",\"subString\":\"*\",\"subVersion\":1}]}]}");
            case "lock" -> with(fields(RequestCode.LOCK_BATCH_MQ), "{\"consumerGroup\":\"g\",\"clientId\":\"c\","
                + "\"mqSet\":[{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"" + on + "\"}]}");
            case "route" -> fields(RequestCode.GET_ROUTEINFO_BY_TOPIC, "topic", on);
            case "max" -> fields(RequestCode.GET_MAX_OFFSET, "topic", on, "queueId", 0);
            case "min" -> fields(RequestCode.GET_MIN_OFFSET, "topic", on, "queueId", 0);
            case "commit" -> fields(RequestCode.UPDATE_CONSUMER_OFFSET, "consumerGroup", GROUP, "topic", on,
                "queueId", 0, "commitOffset", 0);
            case "committed" -> fields(RequestCode.QUERY_CONSUMER_OFFSET, "consumerGroup", GROUP, "topic", on,
                "queueId", 0, "setZeroIfNotFound", true);
            case "members" -> fields(RequestCode.GET_CONSUMER_LIST_BY_GROUP, "consumerGroup", GROUP);
            case "leave" -> fields(RequestCode.UNREGISTER_CLIENT, "clientID", "c", "consumerGroup", GROUP);
            case "query" -> fields(RequestCode.QUERY_MESSAGE, "topic", on, "key", "k", "maxNum", 1,
                "beginTimestamp", 0, "endTimestamp", Long.MAX_VALUE);
            case "put-topic" -> fields(RequestCode.UPDATE_AND_CREATE_TOPIC, "topic", on, "defaultTopic", "TBW102",
                "readQueueNums", 1, "writeQueueNums", 1, "perm", 6, "topicFilterType", "SINGLE_TAG",
                "topicSysFlag", 0, "order", false);
            case "delete-topic" -> fields(RequestCode.DELETE_TOPIC_IN_BROKER, "topic", on);
            case "topic-stats" -> fields(RequestCode.GET_TOPIC_STATS_INFO, "topic", on);
            case "group-stats" -> fields(RequestCode.GET_CONSUME_STATS, "consumerGroup", GROUP, "topic", on);
            case "users" -> fields(RequestCode.AUTH_LIST_USER, "filter", "");
            case "make-user" -> with(fields(RequestCode.AUTH_CREATE_USER, "username", on),
                "{\"username\":\"" + on + "\",\"password\":\"p\",\"userType\":\"Normal\"}");
            default -> throw new IllegalArgumentException("there is no call " + what);
        };
    }

    private static RemotingCommand fields(int code, Object... namesAndValues) {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        HashMap<String, String> fields = new HashMap<>();
        for (int index = 0; index < namesAndValues.length; index += 2) {
            fields.put(namesAndValues[index].toString(), namesAndValues[index + 1].toString());
        }
        request.setExtFields(fields);
        return request;
    }

    private static RemotingCommand with(RemotingCommand request, String body) {
        request.setBody(body.getBytes(StandardCharsets.UTF_8));
        return request;
    }
}
