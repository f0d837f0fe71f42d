package grpc;

import java.time.Duration;
import java.util.Collections;
import java.util.List;
import load.Bodies;
import load.Draining;
import load.Harness;
import load.Meter;
import load.Options;
import load.Pacing;
import load.Sending;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

/** Load through the 5.x protocol. */
public final class Main {
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();
    private static final Duration INVISIBLE = Duration.ofSeconds(60);
    private static final Duration POLL = Duration.ofSeconds(5);
    private static final int FILL_IN_FLIGHT = 1_000;

    private final Options options;
    private final Meter meter;
    private final int bytes;
    private final Producer producer;

    private Main(Options options) throws ClientException {
        this.options = options;
        meter = new Meter(options.text("case"));
        bytes = options.number("bytes");
        producer = PROVIDER.newProducerBuilder()
            .setClientConfiguration(configuration())
            .setTopics(Options.TOPIC)
            // A repeated send would hide a refusal.
            .setMaxAttempts(1)
            .build();
    }

    public static void main(String[] arguments) {
        try {
            new Main(new Options(arguments)).run();
            Harness.end();
        } catch (Throwable failure) {
            Harness.fail(failure);
        }
    }

    private void run() throws Exception {
        switch (options.work) {
            case "sync" -> sync();
            case "async" -> async();
            case "simple-drain" -> simpleDrain();
            case "push-drain" -> pushDrain(filled());
            case "fifo-drain" -> pushDrain(filledInOrder());
            case "end-to-end" -> endToEnd();
            default -> throw new IllegalArgumentException("no such work: " + options.work);
        }
    }

    private void sync() throws Exception {
        new Sending(options, meter).sync(() -> {
            producer.send(message(Bodies.any(bytes)));
            return 1;
        });
        meter.report();
    }

    private void async() throws Exception {
        new Sending(options, meter).async(done -> send(Bodies.any(bytes), done));
        meter.report();
    }

    /** Receive and acknowledge; the times are those of receive calls that brought something. */
    private void simpleDrain() throws Exception {
        Draining draining = filled();
        SimpleConsumer consumer = PROVIDER.newSimpleConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(Options.GROUP)
            .setAwaitDuration(POLL)
            .setSubscriptionExpressions(Collections.singletonMap(Options.TOPIC, everything()))
            .build();
        for (int thread = options.number("threads"); thread > 0; thread--) {
            Sending.thread(() -> {
                while (!draining.isOver()) {
                    receive(consumer, draining);
                }
            });
        }
        draining.await();
    }

    private void receive(SimpleConsumer consumer, Draining draining) throws ClientException {
        long start = System.nanoTime();
        List<MessageView> messages = consumer.receive(options.number("batch"), INVISIBLE);
        if (!messages.isEmpty()) {
            meter.took(start);
        }
        for (MessageView message : messages) {
            int number = Bodies.number(message.getBody());
            consumer.ackAsync(message).whenComplete((done, failure) -> {
                if (failure != null) {
                    Harness.fail(failure);
                }
                draining.consumed(number);
            });
        }
    }

    private void pushDrain(Draining draining) throws Exception {
        pushConsumer(message -> {
            draining.consumed(Bodies.number(message.getBody()));
            return ConsumeResult.SUCCESS;
        });
        draining.await();
    }

    /** From the moment when a message was due to be sent until a push consumer's listener has it. */
    private void endToEnd() throws Exception {
        Pacing pacing = new Pacing(options, meter);
        pushConsumer(message -> {
            pacing.consumed(message.getBody());
            return ConsumeResult.SUCCESS;
        });
        pacing.run(body -> send(body, () -> { }));
    }

    private static void pushConsumer(MessageListener listener) throws ClientException {
        PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(Options.GROUP)
            .setSubscriptionExpressions(Collections.singletonMap(Options.TOPIC, everything()))
            .setMessageListener(listener)
            .build();
    }

    private Draining filled() throws Exception {
        int count = options.number("count");
        Draining draining = new Draining(meter, count);
        Sending.fill(count, bytes, FILL_IN_FLIGHT, this::send);
        return draining;
    }

    /** Each thread has message groups of its own, and awaits each send. */
    private Draining filledInOrder() throws Exception {
        int count = options.number("count");
        int orders = options.number("orders");
        Draining draining = new Draining(meter, count);
        Sending.share(orders, orders, 1, (order, next) -> {
            for (int number = order; number < count; number += orders) {
                producer.send(PROVIDER.newMessageBuilder()
                    .setTopic(Options.TOPIC)
                    .setMessageGroup("order-" + order)
                    .setBody(Bodies.numbered(number, bytes))
                    .build());
            }
        });
        return draining;
    }

    private void send(byte[] body, Runnable done) {
        producer.sendAsync(message(body)).whenComplete((receipt, failure) -> {
            if (failure != null) {
                Harness.fail(failure);
            }
            done.run();
        });
    }

    private static Message message(byte[] body) {
        return PROVIDER.newMessageBuilder().setTopic(Options.TOPIC).setBody(body).build();
    }

    private static FilterExpression everything() {
        return new FilterExpression("*", FilterExpressionType.TAG);
    }

    private static ClientConfiguration configuration() {
        return ClientConfiguration.newBuilder()
            .setEndpoints(Options.ENDPOINT)
            .setRequestTimeout(Duration.ofSeconds(10))
            .build();
    }
}
