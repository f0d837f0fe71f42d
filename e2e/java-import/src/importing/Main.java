package importing;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Clients that move from one cluster to another. Group i reads topics i, i + GROUPS, ... below TOPICS.
 *
 * <pre>
 * produce FIRST COUNT   sends to all topics in turn    -> ACKED topic number ... PRODUCED
 * consume               one consumer for each group    -> CONSUMED group number
 * rest                  stops the consumers            -> RESTED
 * </pre>
 * Every seventh message fails at its first attempt, so that retries are on their way when groups move.
 */
public final class Main {
    private static final String NAMESRV = System.getenv("NAMESRV");
    private static final int TOPICS = Integer.parseInt(System.getenv("TOPICS"));
    private static final int GROUPS = Integer.parseInt(System.getenv("GROUPS"));
    private static final boolean FAILS = System.getenv("FAILS") != null;

    private final PrintStream out = System.out;
    private final List<DefaultMQPushConsumer> consumers = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        Main main = new Main();
        System.setOut(System.err);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
                case "produce" -> main.produce(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
                case "consume" -> main.consume();
                case "rest" -> main.rest();
                default -> throw new IllegalArgumentException(line);
            }
        }
        System.exit(0);
    }

    private void say(String line) {
        synchronized (out) {
            out.println(line);
            out.flush();
        }
    }

    private void produce(int first, int count) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("import-producers");
        producer.setNamesrvAddr(NAMESRV);
        producer.setInstanceName("producer-" + first);
        producer.setSendMsgTimeout(10_000);
        producer.start();
        for (int number = first; number < first + count; number++) {
            String topic = "import-topic-" + number % TOPICS;
            Message message = new Message(topic, "tag", "key-" + number,
                String.valueOf(number).getBytes(StandardCharsets.UTF_8));
            message.putUserProperty("colour", "blue-" + number);
            SendResult sent = producer.send(message);
            if (sent.getSendStatus() == SendStatus.SEND_OK) {
                say("ACKED " + topic + " " + number);
            }
        }
        producer.shutdown();
        say("PRODUCED");
    }

    private void consume() throws Exception {
        for (int group = 0; group < GROUPS; group++) {
            String name = "import-group-" + group;
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(name);
            consumer.setNamesrvAddr(NAMESRV);
            consumer.setInstanceName("consumer-" + group);
            consumer.setConsumeThreadMin(1);
            consumer.setConsumeThreadMax(2);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.setAwaitTerminationMillisWhenShutdown(5_000);
            for (int topic = group; topic < TOPICS; topic += GROUPS) {
                consumer.subscribe("import-topic-" + topic, "*");
            }
            consumer.registerMessageListener((List<MessageExt> messages,
                    org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyContext context) -> {
                MessageExt message = messages.get(0);
                int number = Integer.parseInt(new String(message.getBody(), StandardCharsets.UTF_8));
                if (!("blue-" + number).equals(message.getUserProperty("colour"))) {
                    say("CORRUPT " + number);
                }
                if (FAILS && number % 7 == 0 && message.getReconsumeTimes() == 0) {
                    context.setDelayLevelWhenNextConsume(2);
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                say("CONSUMED " + name + " " + number);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
    }

    private void rest() {
        consumers.parallelStream().forEach(DefaultMQPushConsumer::shutdown);
        consumers.clear();
        say("RESTED");
    }
}
