package grpc;

import static grpc.Clients.PATIENCE;
import static grpc.Clients.PROVIDER;
import static grpc.Clients.configuration;
import static grpc.Clients.message;
import static grpc.Clients.producer;
import static grpc.Clients.tags;

import java.time.Duration;
import java.util.Collections;
import java.util.OptionalDouble;
import java.util.concurrent.CountDownLatch;
import java.util.function.DoublePredicate;
import kit.Expect;
import kit.Harness;
import kit.Inbox;
import kit.Node;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.producer.Producer;

/** What clients measure reaches the metrics of the node: each minute, and when they close. */
final class Measuring {
    private static final int COUNT = 20;
    /** A client reports each minute. */
    private static final Duration NEXT_REPORT = Duration.ofSeconds(90);

    private Measuring() {
    }

    static void addTo(Harness harness) {
        harness.add("client-metrics", Measuring::reported);
    }

    private static void reported() throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        String sent = "{topic=\"" + topic + "\",invocation_status=\"success\"}";
        String received = "topic=\"" + topic + "\",consumer_group=\"" + group + "\"";
        CountDownLatch held = new CountDownLatch(1);
        Inbox inbox = new Inbox();
        PushConsumer consumer = PROVIDER.newPushConsumerBuilder()
            .setClientConfiguration(configuration())
            .setConsumerGroup(group)
            .setConsumptionThreadCount(1)
            .setSubscriptionExpressions(Collections.singletonMap(topic, tags("*")))
            .setMessageListener(message -> {
                try {
                    held.await();
                } catch (InterruptedException interrupted) {
                    return ConsumeResult.FAILURE;
                }
                inbox.put(Clients.letter(message));
                return ConsumeResult.SUCCESS;
            })
            .build();
        try (Producer producer = producer(topic)) {
            for (String body : Expect.bodies("measured", COUNT)) {
                producer.send(message(topic, body));
            }
        }
        await("rocketmq_send_cost_time_count" + sent, PATIENCE, value -> value == COUNT);
        await("rocketmq_consumer_cached_messages{" + received + "}", NEXT_REPORT, value -> value > 1);
        held.countDown();
        inbox.await(COUNT, PATIENCE);
        consumer.close();
        await("rocketmq_process_time_count{" + received + ",invocation_status=\"success\"}", PATIENCE,
            value -> value == COUNT);
        await("rocketmq_await_time_count{" + received + "}", PATIENCE, value -> value == COUNT);
        await("rocketmq_delivery_latency_count{" + received + "}", PATIENCE, value -> value >= 1);
        OptionalDouble left = Node.metric("rocketmq_consumer_cached_messages{" + received + "}");
        Expect.that("held by a closed client: " + left, left.isEmpty());
    }

    /** Waits until a series of the node has such a value. */
    private static void await(String series, Duration patience, DoublePredicate holds) throws Exception {
        long end = System.nanoTime() + patience.toNanos();
        while (true) {
            OptionalDouble value = Node.metric(series);
            if (value.isPresent() && holds.test(value.getAsDouble())) {
                return;
            }
            Expect.that("not within " + patience + ": " + series + " is " + value, System.nanoTime() < end);
            Thread.sleep(500);
        }
    }
}
