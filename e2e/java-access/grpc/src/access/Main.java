package access;

import apache.rocketmq.v2.AckMessageEntry;
import apache.rocketmq.v2.AckMessageRequest;
import apache.rocketmq.v2.AckMessageResponse;
import apache.rocketmq.v2.Broker;
import apache.rocketmq.v2.ChangeInvisibleDurationRequest;
import apache.rocketmq.v2.ChangeInvisibleDurationResponse;
import apache.rocketmq.v2.ClientType;
import apache.rocketmq.v2.Encoding;
import apache.rocketmq.v2.EndTransactionRequest;
import apache.rocketmq.v2.EndTransactionResponse;
import apache.rocketmq.v2.FilterExpression;
import apache.rocketmq.v2.FilterType;
import apache.rocketmq.v2.HeartbeatRequest;
import apache.rocketmq.v2.HeartbeatResponse;
import apache.rocketmq.v2.Message;
import apache.rocketmq.v2.MessageQueue;
import apache.rocketmq.v2.MessageType;
import apache.rocketmq.v2.NotifyClientTerminationRequest;
import apache.rocketmq.v2.NotifyClientTerminationResponse;
import apache.rocketmq.v2.Permission;
import apache.rocketmq.v2.QueryAssignmentRequest;
import apache.rocketmq.v2.QueryAssignmentResponse;
import apache.rocketmq.v2.QueryRouteRequest;
import apache.rocketmq.v2.QueryRouteResponse;
import apache.rocketmq.v2.ReceiveMessageRequest;
import apache.rocketmq.v2.ReceiveMessageResponse;
import apache.rocketmq.v2.Resource;
import apache.rocketmq.v2.SendMessageRequest;
import apache.rocketmq.v2.SendMessageResponse;
import apache.rocketmq.v2.Settings;
import apache.rocketmq.v2.Status;
import apache.rocketmq.v2.Subscription;
import apache.rocketmq.v2.SubscriptionEntry;
import apache.rocketmq.v2.SystemProperties;
import apache.rocketmq.v2.TelemetryCommand;
import apache.rocketmq.v2.TransactionResolution;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.StaticSessionCredentialsProvider;
import org.apache.rocketmq.client.java.misc.ClientId;
import org.apache.rocketmq.client.java.route.Endpoints;
import org.apache.rocketmq.client.java.rpc.RpcClient;
import org.apache.rocketmq.client.java.rpc.RpcClientImpl;
import org.apache.rocketmq.client.java.rpc.Signature;
import org.apache.rocketmq.shaded.com.google.protobuf.ByteString;
import org.apache.rocketmq.shaded.com.google.protobuf.util.Durations;
import org.apache.rocketmq.shaded.com.google.protobuf.util.Timestamps;
import org.apache.rocketmq.shaded.io.grpc.Metadata;
import org.apache.rocketmq.shaded.io.grpc.StatusRuntimeException;
import org.apache.rocketmq.shaded.io.grpc.stub.StreamObserver;

/** Calls of the 5.x protocol through the official client's connection, signed as it signs by session credentials. */
public final class Main {
    private static final Duration PATIENCE = Duration.ofSeconds(20);
    private static final long POLL_S = 6;
    private static final String ENDPOINT = System.getenv("ENDPOINT");
    private static final Resource GROUP = resource("g");
    private static final String NO_RECEIPT = "nonsense";

    private final RpcClient connection = new RpcClientImpl(new Endpoints(ENDPOINT), true);
    private final ExecutorService threads = Executors.newCachedThreadPool();
    /** One for each user and secret. */
    private final Map<String, ClientId> clients = new HashMap<>();
    /** Kept open, as clients do; by client. */
    private final Map<ClientId, StreamObserver<TelemetryCommand>> open = new HashMap<>();

    private Main() throws Exception {
    }

    public static void main(String[] arguments) throws Exception {
        Main program = new Main();
        Desk.serve(program::call);
        System.exit(0);
    }

    private Desk.Answer call(String user, String secret, String what, String on) throws Exception {
        ClientId client = client(user, secret);
        Metadata metadata = sign(user, secret);
        Resource topic = resource(on);
        if (what.equals("telemetry")) {
            return telemetry(metadata, client, topic);
        }
        // A proxy serves consumers whose settings it has.
        if (List.of("receive", "beat", "ack", "change").contains(what) && !open.containsKey(client)) {
            telemetry(metadata, client, topic);
        }
        String receipt = List.of("ack", "change").contains(what) ? receipt(topic, on) : NO_RECEIPT;
        Status status = status(metadata, what, topic, receipt);
        return new Desk.Answer(status.getCodeValue(), status.getMessage());
    }

    /** Of a message that its super user receives: so that a refusal has no other reason than who asks. */
    private String receipt(Resource topic, String on) throws Exception {
        String root = "root";
        Metadata metadata = sign(root, secretOf(root));
        ClientId client = client(root, secretOf(root));
        if (!open.containsKey(client)) {
            telemetry(metadata, client, topic);
        }
        return connection.receiveMessage(metadata, receive(topic), threads, PATIENCE)
            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS).stream().filter(ReceiveMessageResponse::hasMessage)
            .findFirst().orElseThrow(() -> new IllegalStateException("nothing to receive from " + on))
            .getMessage().getSystemProperties().getReceiptHandle();
    }

    private static String secretOf(String user) {
        return user + "-secret";
    }

    private ClientId client(String user, String secret) {
        return clients.computeIfAbsent(user + " " + secret, key -> new ClientId());
    }

    private Metadata sign(String user, String secret) throws Exception {
        var builder = ClientConfiguration.newBuilder().setEndpoints(ENDPOINT);
        if (user != null) {
            builder.setCredentialProvider(new StaticSessionCredentialsProvider(user, secret));
        }
        return Signature.sign(builder.build(), client(user, secret));
    }

    private Status status(Metadata metadata, String what, Resource topic, String receipt) throws Exception {
        return switch (what) {
            case "send" -> of(connection.sendMessage(metadata,
                SendMessageRequest.newBuilder().addMessages(message(topic)).build(), threads, PATIENCE),
                SendMessageResponse::getStatus);
            case "route" -> of(connection.queryRoute(metadata, QueryRouteRequest.newBuilder().setTopic(topic)
                .setEndpoints(new Endpoints(ENDPOINT).toProtobuf()).build(), threads, PATIENCE),
                QueryRouteResponse::getStatus);
            case "assignment" -> of(connection.queryAssignment(metadata, QueryAssignmentRequest.newBuilder()
                .setTopic(topic).setGroup(GROUP).setEndpoints(new Endpoints(ENDPOINT).toProtobuf()).build(),
                threads, PATIENCE), QueryAssignmentResponse::getStatus);
            case "beat" -> of(connection.heartbeat(metadata, HeartbeatRequest.newBuilder().setGroup(GROUP)
                .setClientType(ClientType.SIMPLE_CONSUMER).build(), threads, PATIENCE), HeartbeatResponse::getStatus);
            case "receive" -> received(connection.receiveMessage(metadata, receive(topic), threads, PATIENCE));
            case "ack" -> of(connection.ackMessage(metadata, AckMessageRequest.newBuilder().setGroup(GROUP)
                .setTopic(topic).addEntries(AckMessageEntry.newBuilder().setMessageId("m")
                    .setReceiptHandle(receipt)).build(), threads, PATIENCE), AckMessageResponse::getStatus);
            case "change" -> of(connection.changeInvisibleDuration(metadata, ChangeInvisibleDurationRequest
                .newBuilder().setGroup(GROUP).setTopic(topic).setReceiptHandle(receipt).setMessageId("m")
                .setInvisibleDuration(Durations.fromSeconds(30)).build(), threads, PATIENCE),
                ChangeInvisibleDurationResponse::getStatus);
            case "end" -> of(connection.endTransaction(metadata, EndTransactionRequest.newBuilder().setTopic(topic)
                .setMessageId("m").setTransactionId(NO_RECEIPT).setResolution(TransactionResolution.COMMIT).build(),
                threads, PATIENCE), EndTransactionResponse::getStatus);
            case "bye" -> of(connection.notifyClientTermination(metadata, NotifyClientTerminationRequest.newBuilder()
                .setGroup(GROUP).build(), threads, PATIENCE), NotifyClientTerminationResponse::getStatus);
            default -> throw new IllegalArgumentException("there is no call " + what);
        };
    }

    private static <T> Status of(Future<T> answer, Function<T, Status> status) throws Exception {
        return status.apply(answer.get(PATIENCE.toSeconds(), TimeUnit.SECONDS));
    }

    /** It comes before or behind the messages. */
    private static Status received(Future<List<ReceiveMessageResponse>> answer) throws Exception {
        return of(answer, parts -> parts.stream().filter(ReceiveMessageResponse::hasStatus).findFirst().orElseThrow()
            .getStatus());
    }

    private static ReceiveMessageRequest receive(Resource topic) {
        return ReceiveMessageRequest.newBuilder().setGroup(GROUP)
            .setMessageQueue(MessageQueue.newBuilder().setTopic(topic).setId(-1)
                .setPermission(Permission.READ_WRITE).setBroker(Broker.newBuilder().setName("broker-a")
                    .setEndpoints(new Endpoints(ENDPOINT).toProtobuf())).addAcceptMessageTypes(MessageType.NORMAL))
            .setFilterExpression(FilterExpression.newBuilder().setType(FilterType.TAG).setExpression("*"))
            .setBatchSize(1).setInvisibleDuration(Durations.fromSeconds(30)).setAutoRenew(false)
            .setLongPollingTimeout(Durations.fromSeconds(POLL_S)).build();
    }

    private static Message message(Resource topic) {
        return Message.newBuilder().setTopic(topic).setBody(ByteString.copyFromUtf8("hello"))
            .setSystemProperties(SystemProperties.newBuilder().setMessageId("01" + "0".repeat(32))
                .setMessageType(MessageType.NORMAL).setBodyEncoding(Encoding.IDENTITY).setBornHost("host")
                .setQueueId(0).setBornTimestamp(Timestamps.fromMillis(System.currentTimeMillis())))
            .build();
    }

    /** Opens a consumer's stream; how it begins: with settings, or with its end. */
    private Desk.Answer telemetry(Metadata metadata, ClientId client, Resource topic) throws Exception {
        BlockingQueue<Desk.Answer> answers = new LinkedBlockingQueue<>();
        StreamObserver<TelemetryCommand> ours =
            connection.telemetry(metadata, threads, PATIENCE.multipliedBy(60), new StreamObserver<>() {
                @Override
                public void onNext(TelemetryCommand command) {
                    answers.add(new Desk.Answer(command.getStatus().getCodeValue(), command.getStatus().getMessage()));
                }

                @Override
                public void onError(Throwable failure) {
                    answers.add(failure instanceof StatusRuntimeException refused
                        ? new Desk.Answer(refused.getStatus().getCode().name(), refused.getStatus().getDescription())
                        : new Desk.Answer("none", failure.toString()));
                }

                @Override
                public void onCompleted() {
                    answers.add(new Desk.Answer("end", ""));
                }
            });
        Subscription subscription = Subscription.newBuilder().setGroup(GROUP)
            .addSubscriptions(SubscriptionEntry.newBuilder().setTopic(topic)
                .setExpression(FilterExpression.newBuilder().setType(FilterType.TAG).setExpression("*")))
            .setLongPollingTimeout(Durations.fromSeconds(POLL_S)).build();
        Settings settings = Settings.newBuilder().setClientType(ClientType.SIMPLE_CONSUMER)
            .setAccessPoint(new Endpoints(ENDPOINT).toProtobuf()).setSubscription(subscription)
            .setRequestTimeout(Durations.fromSeconds(3)).build();
        ours.onNext(TelemetryCommand.newBuilder().setSettings(settings).build());
        Desk.Answer answer = answers.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        if (answer == null) {
            return new Desk.Answer("none", "no answer");
        }
        if (Character.isDigit(answer.code().charAt(0))) {
            open.put(client, ours);
        }
        return answer;
    }

    private static Resource resource(String name) {
        return Resource.newBuilder().setName(name).build();
    }
}
