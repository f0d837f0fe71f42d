package grpc;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.function.Predicate;
import kit.Account;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import kit.Sender;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientConfigurationBuilder;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.StaticSessionCredentialsProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Producers and consumers as the cases need them. */
final class Clients {
    static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    static final Duration PATIENCE = Duration.ofSeconds(60);
    /** The shortest that the protocol allows. */
    static final Duration INVISIBLE = Duration.ofSeconds(10);
    /** One receive call waits this long for a message. */
    static final Duration POLL = Duration.ofSeconds(10);

    private Clients() {
    }

    static ClientConfiguration configuration() {
        return configuration(Account.own());
    }

    /** Without an account nothing is signed. */
    static ClientConfiguration configuration(Account account) {
        ClientConfigurationBuilder builder = ClientConfiguration.newBuilder()
            .setEndpoints(Harness.ENDPOINT)
            .setRequestTimeout(Duration.ofSeconds(5));
        if (account != null) {
            builder.setCredentialProvider(new StaticSessionCredentialsProvider(account.key(), account.secret()));
        }
        return builder.build();
    }

    static Producer producer(String topic) throws ClientException {
        return PROVIDER.newProducerBuilder().setClientConfiguration(configuration()).setTopics(topic).build();
    }

    static Sender sender(Producer producer, String topic) {
        return body -> producer.send(message(topic, body));
    }

    static SimpleConsumer simpleConsumer(String group, String topic) throws ClientException {
        return simpleConsumer(group, topic, POLL);
    }

    static SimpleConsumer simpleConsumer(String group, String topic, Duration poll) throws ClientException {
        return PROVIDER.newSimpleConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(group)
            .setAwaitDuration(poll)
            .setSubscriptionExpressions(Collections.singletonMap(topic, tags("*")))
            .build();
    }

    /** A consumer that puts everything into the inbox and succeeds. */
    static Listening pushConsumer(String group, String topic, Inbox inbox) throws ClientException {
        return pushConsumer(group, topic, "*", inbox, letter -> true);
    }

    /** A consumer whose attempts succeed as the verdict says. */
    static Listening pushConsumer(
            String group, String topic, String tags, Inbox inbox, Predicate<Letter> verdict) throws ClientException {
        return new Listening(PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(group)
            .setSubscriptionExpressions(Collections.singletonMap(topic, tags(tags)))
            .setMessageListener(message -> {
                Letter letter = letter(message);
                boolean succeeds = verdict.test(letter);
                inbox.put(letter);
                return succeeds ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE;
            })
            .build());
    }

    /**
     * A push consumer that leaves without being waited for: its close lasts as long as its open long polls.
     * A case that needs the end of it closes the client itself.
     */
    record Listening(PushConsumer client) implements AutoCloseable {
        @Override
        public void close() {
            new Thread(() -> {
                try {
                    client.close();
                } catch (IOException failed) {
                    failed.printStackTrace();
                }
            }).start();
        }
    }

    /** Receives until there is something, or patience ends. */
    static List<MessageView> receiveSome(SimpleConsumer consumer, int atMost) throws ClientException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (System.nanoTime() < deadline) {
            List<MessageView> messages = consumer.receive(atMost, INVISIBLE);
            if (!messages.isEmpty()) {
                return messages;
            }
        }
        throw new AssertionError("nothing received within " + PATIENCE);
    }

    static MessageView receiveOne(SimpleConsumer consumer) throws ClientException {
        return receiveSome(consumer, 1).get(0);
    }

    /** Receives and acknowledges until all these bodies are in the inbox. */
    static void drain(SimpleConsumer consumer, Inbox inbox, List<String> bodies) throws ClientException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!inbox.deliveries().keySet().containsAll(bodies)) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("received " + inbox.deliveries().size() + " of " + bodies.size());
            }
            for (MessageView message : consumer.receive(16, INVISIBLE)) {
                inbox.put(letter(message));
                consumer.ack(message);
            }
        }
    }

    static MessageBuilder unbuilt(String topic, String body) {
        return PROVIDER.newMessageBuilder().setTopic(topic).setBody(body.getBytes(StandardCharsets.UTF_8));
    }

    static Message message(String topic, String body) {
        return unbuilt(topic, body).build();
    }

    static FilterExpression tags(String expression) {
        return new FilterExpression(expression, FilterExpressionType.TAG);
    }

    static Letter letter(MessageView message) {
        return new Letter(
            StandardCharsets.UTF_8.decode(message.getBody()).toString(),
            message.getTag().orElse(null),
            new HashSet<>(message.getKeys()),
            message.getProperties(),
            message.getDeliveryAttempt(),
            message.getMessageId().toString());
    }
}
