package cross;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** The 5.x side. */
final class Grpc {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private Grpc() {
    }

    static Producer producer(String topic) throws Exception {
        return PROVIDER.newProducerBuilder().setClientConfiguration(configuration()).setTopics(topic).build();
    }

    static String send(Producer producer, String topic, String body) throws Exception {
        return producer.send(PROVIDER.newMessageBuilder()
            .setTopic(topic)
            .setBody(body.getBytes(StandardCharsets.UTF_8))
            .setTag("colour")
            .setKeys("key-1", "key-2")
            .addProperty("shape", "round")
            .addProperty("city", "Zürich")
            .build()).getMessageId().toString();
    }

    static void send(Producer producer, String topic, String body, Map<String, String> properties) throws Exception {
        MessageBuilder message =
            PROVIDER.newMessageBuilder().setTopic(topic).setBody(body.getBytes(StandardCharsets.UTF_8));
        properties.forEach(message::addProperty);
        producer.send(message.build());
    }

    /** A push consumer that puts what matches into the inbox, and succeeds. */
    static AutoCloseable listen(String group, String topic, String sql, Inbox inbox) throws Exception {
        return PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(group)
            .setSubscriptionExpressions(
                Collections.singletonMap(topic, new FilterExpression(sql, FilterExpressionType.SQL92)))
            .setMessageListener(message -> {
                inbox.put(letter(message));
                return ConsumeResult.SUCCESS;
            })
            .build();
    }

    /** Closes without being waited for: a close lasts as long as open long polls. */
    static void leave(AutoCloseable client) {
        new Thread(() -> {
            try {
                client.close();
            } catch (Exception failed) {
                failed.printStackTrace();
            }
        }).start();
    }

    /** Receives and acknowledges one message. */
    static Letter receiveOne(String group, String topic) throws Exception {
        try (SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder()
                .setClientConfiguration(configuration())
                .setConsumerGroup(group)
                .setAwaitDuration(Duration.ofSeconds(5))
                .setSubscriptionExpressions(Collections.singletonMap(topic, FilterExpression.SUB_ALL))
                .build()) {
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (System.nanoTime() < deadline) {
                List<MessageView> messages = consumer.receive(1, Duration.ofSeconds(10));
                if (!messages.isEmpty()) {
                    consumer.ack(messages.get(0));
                    return letter(messages.get(0));
                }
            }
        }
        throw new AssertionError("nothing received");
    }

    private static ClientConfiguration configuration() {
        return ClientConfiguration.newBuilder().setEndpoints(Harness.ENDPOINT).build();
    }

    private static Letter letter(MessageView message) {
        return new Letter(
            StandardCharsets.UTF_8.decode(message.getBody()).toString(),
            message.getTag().orElse(null),
            new HashSet<>(message.getKeys()),
            message.getProperties(),
            message.getDeliveryAttempt(),
            message.getMessageId().toString());
    }
}
