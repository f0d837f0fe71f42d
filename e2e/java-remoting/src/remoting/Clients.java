package remoting;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import kit.Account;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.RPCHook;

/** Producers and consumers as the cases need them. */
final class Clients {
    static final Duration PATIENCE = Duration.ofSeconds(60);

    private Clients() {
    }

    /** Signs requests, where the server asks for that. */
    static RPCHook hook() {
        return Account.isAsked() ? hook(Account.own()) : null;
    }

    static RPCHook hook(Account account) {
        return new AclClientRPCHook(new SessionCredentials(account.key(), account.secret()));
    }

    static DefaultMQProducer producer() throws Exception {
        return producer(hook());
    }

    static DefaultMQProducer producer(RPCHook hook) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Harness.unique("producers"), hook);
        impatient(producer);
        producer.setSendMsgTimeout(5_000);
        producer.start();
        return producer;
    }

    /** A consumer that puts everything into the inbox and succeeds. */
    static DefaultMQPushConsumer consumer(String group, String topic, Inbox inbox) throws Exception {
        return consumer(group, topic, "*", inbox, letter -> true);
    }

    /** A consumer whose attempts succeed as the verdict says. */
    static DefaultMQPushConsumer consumer(
            String group, String topic, String tags, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        DefaultMQPushConsumer consumer = unstartedConsumer(group, topic, tags, inbox, verdict);
        consumer.start();
        return consumer;
    }

    static DefaultMQPushConsumer unstartedConsumer(
            String group, String topic, String tags, Inbox inbox, Predicate<Letter> verdict) throws Exception {
        return dressed(new DefaultMQPushConsumer(group, hook(), new AllocateMessageQueueAveragely()),
            topic, tags, inbox, verdict);
    }

    static DefaultMQPushConsumer dressed(DefaultMQPushConsumer consumer, String topic, String tags, Inbox inbox,
            Predicate<Letter> verdict) throws Exception {
        impatient(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        // Without it a shutdown leaves out the offsets of messages whose listener has just returned.
        consumer.setAwaitTerminationMillisWhenShutdown(5_000);
        consumer.subscribe(topic, tags);
        consumer.registerMessageListener((List<MessageExt> messages, org.apache.rocketmq.client.consumer.listener
                .ConsumeConcurrentlyContext context) -> {
            Letter letter = letter(messages.get(0));
            boolean succeeds = verdict.test(letter);
            context.setDelayLevelWhenNextConsume(1);
            inbox.put(letter);
            return succeeds ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        return consumer;
    }

    /** Clients of one process must differ in their instance; the intervals are short so that restarts are noticed. */
    static void impatient(ClientConfig client) {
        client.setNamesrvAddr(Harness.NAMESRV);
        client.setInstanceName(Harness.unique("instance"));
        client.setPollNameServerInterval(1_000);
        client.setHeartbeatBrokerInterval(1_000);
    }

    static void sendOne(String topic, String body) throws Exception {
        DefaultMQProducer producer = producer();
        producer.send(message(topic, body));
        producer.shutdown();
    }

    static Message message(String topic, String body) {
        return new Message(topic, body.getBytes(StandardCharsets.UTF_8));
    }

    static Message message(String topic, String tag, String body) {
        return new Message(topic, tag, body.getBytes(StandardCharsets.UTF_8));
    }

    static Letter letter(MessageExt message) {
        Map<String, String> properties = new HashMap<>(message.getProperties());
        Set<String> keys = message.getKeys() == null
            ? Set.of() : new HashSet<>(Arrays.asList(message.getKeys().split(" ")));
        String body = new String(message.getBody(), StandardCharsets.UTF_8);
        return new Letter(
            body, message.getTags(), keys, properties, message.getReconsumeTimes() + 1, message.getMsgId());
    }
}
