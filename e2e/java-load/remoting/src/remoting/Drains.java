package remoting;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import load.Bodies;
import load.Draining;
import load.Harness;
import load.Meter;
import load.Options;
import load.Sending;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Sends so many messages, in batches, and then consumes them. */
final class Drains {
    private static final int FILL_THREADS = 4;
    private static final int FILL_BATCH = 32;
    private static final String PROPERTY = "percent";

    private final Meter meter;
    private final Options options;
    private final int count;
    private final int bytes;
    private final DefaultMQProducer producer = Clients.producer("producer");

    Drains(Options options, Meter meter) throws Exception {
        this.meter = meter;
        this.options = options;
        count = options.number("count");
        bytes = options.number("bytes");
    }

    void push() throws Exception {
        Draining draining = new Draining(meter, count);
        fill(this::message);
        DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP);
        consumer.subscribe(Options.TOPIC, "*");
        start(consumer, draining, 0);
        draining.await();
    }

    /** The group is in pop mode; the client asks the server which queues are its own. */
    void pop() throws Exception {
        Draining draining = new Draining(meter, count);
        fill(this::message);
        DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP);
        consumer.setClientRebalance(false);
        consumer.subscribe(Options.TOPIC, "*");
        start(consumer, draining, 0);
        draining.await();
    }

    void litePull() throws Exception {
        Draining draining = new Draining(meter, count);
        fill(this::message);
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(Options.GROUP);
        Clients.configure(consumer, "consumer");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(Options.TOPIC, "*");
        consumer.start();
        Sending.thread(() -> {
            while (!draining.isOver()) {
                consumer.poll().forEach(message -> draining.consumed(Bodies.number(message.getBody())));
            }
        });
        draining.await();
    }

    /** The messages of a queue are sent in the order of their numbers and must be consumed so. */
    void orderly() throws Exception {
        Draining draining = new Draining(meter, count);
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(Options.TOPIC);
        Sending.share(queues.size(), queues.size(), 1, (from, to) -> fill(queues.get(from), from, queues.size()));
        Map<MessageQueue, Integer> last = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP);
        consumer.subscribe(Options.TOPIC, "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                int number = Bodies.number(message.getBody());
                Integer before = last.put(context.getMessageQueue(), number);
                if (before != null && before >= number) {
                    Harness.fail(new AssertionError(before + " came before " + number));
                }
                draining.consumed(number);
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        draining.await();
    }

    /** Only each hundredth message matches; the result counts all that the server had to look at. */
    void sql() throws Exception {
        Draining draining = new Draining(meter, count / 100, 100);
        fill(number -> {
            Message message = message(number / 100);
            message.putUserProperty(PROPERTY, String.valueOf(number % 100));
            return message;
        });
        DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP);
        consumer.subscribe(Options.TOPIC, MessageSelector.bySql(PROPERTY + " IS NOT NULL AND " + PROPERTY + " > 98"));
        start(consumer, draining, 0);
        draining.await();
    }

    /** Every group consumes everything. */
    void fanOut() throws Exception {
        int groups = options.number("groups");
        Draining draining = new Draining(meter, count * groups);
        fill(this::message);
        for (int group = 0; group < groups; group++) {
            DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP + "-" + group);
            // The threads of twenty consumers share the processors of one client machine.
            consumer.setConsumeThreadMin(1);
            consumer.setConsumeThreadMax(1);
            consumer.subscribe(Options.TOPIC, "*");
            start(consumer, draining, group * count);
        }
        draining.await();
    }

    private static void start(DefaultMQPushConsumer consumer, Draining draining, int firstNumber) throws Exception {
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                draining.consumed(firstNumber + Bodies.number(message.getBody()));
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
    }

    private interface Make {
        Message make(int number);
    }

    private void fill(Make make) throws Exception {
        Sending.share(FILL_THREADS, count, FILL_BATCH, (from, to) -> {
            List<Message> messages = new ArrayList<>(to - from);
            for (int number = from; number < to; number++) {
                messages.add(make.make(number));
            }
            Clients.stored(producer.send(messages));
        });
    }

    /** Every so many-th number, in one queue. */
    private void fill(MessageQueue queue, int first, int step) throws Exception {
        List<Message> messages = new ArrayList<>(FILL_BATCH);
        for (int number = first; number < count; number += step) {
            messages.add(message(number));
            if (messages.size() == FILL_BATCH || number + step >= count) {
                Clients.stored(producer.send(messages, queue));
                messages.clear();
            }
        }
    }

    private Message message(int number) {
        return new Message(Options.TOPIC, Bodies.numbered(number, bytes));
    }
}
