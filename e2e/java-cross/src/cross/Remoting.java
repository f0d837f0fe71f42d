package cross;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** The 4.x side. */
final class Remoting {
    private Remoting() {
    }

    static DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"));
        configure(producer);
        producer.start();
        return producer;
    }

    static String send(DefaultMQProducer producer, String topic, String body) throws Exception {
        Message message = new Message(topic, "colour", body.getBytes(StandardCharsets.UTF_8));
        message.setKeys(List.of("key-1", "key-2"));
        message.putUserProperty("shape", "round");
        message.putUserProperty("city", "Zürich");
        return producer.send(message).getMsgId();
    }

    /** Sends on what was received. */
    static void forward(DefaultMQProducer producer, String topic, Letter letter) throws Exception {
        Message message = new Message(topic, letter.tag(), letter.body().getBytes(StandardCharsets.UTF_8));
        message.setKeys(letter.keys());
        for (String name : List.of("shape", "city")) {
            message.putUserProperty(name, letter.properties().get(name));
        }
        producer.send(message);
    }

    static DefaultMQPushConsumer consumer(String group, String topic, Inbox inbox) throws Exception {
        return consumer(group, topic, inbox, ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
    }

    /** Never succeeds; gives up after one retry. */
    static DefaultMQPushConsumer failingConsumer(String group, String topic, Inbox inbox) throws Exception {
        return consumer(group, topic, inbox, ConsumeConcurrentlyStatus.RECONSUME_LATER);
    }

    /** A consumer without subscription that puts everything into the inbox and succeeds. */
    static DefaultMQPushConsumer unstarted(String group, Inbox inbox) {
        return unstarted(group, inbox, ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
    }

    private static DefaultMQPushConsumer consumer(
            String group, String topic, Inbox inbox, ConsumeConcurrentlyStatus status) throws Exception {
        DefaultMQPushConsumer consumer = unstarted(group, inbox, status);
        consumer.subscribe(topic, "*");
        consumer.start();
        return consumer;
    }

    private static DefaultMQPushConsumer unstarted(String group, Inbox inbox, ConsumeConcurrentlyStatus status) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMaxReconsumeTimes(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            context.setDelayLevelWhenNextConsume(1);
            inbox.put(letter(messages.get(0)));
            return status;
        });
        return consumer;
    }

    private static void configure(ClientConfig client) {
        client.setNamesrvAddr(Harness.NAMESRV);
        client.setInstanceName(Harness.unique("instance"));
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(1_000);
    }

    private static Letter letter(MessageExt message) {
        return new Letter(
            new String(message.getBody(), StandardCharsets.UTF_8),
            message.getTags(),
            message.getKeys() == null ? Set.of() : new HashSet<>(Arrays.asList(message.getKeys().split(" "))),
            message.getProperties(),
            message.getReconsumeTimes() + 1,
            message.getMsgId());
    }
}
