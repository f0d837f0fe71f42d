package remoting;

import load.Harness;
import load.Options;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;

/** Clients as all works want them. */
final class Clients {
    private Clients() {
    }

    static DefaultMQProducer producer(String instance) throws Exception {
        return started(new DefaultMQProducer("load"), instance);
    }

    static <P extends DefaultMQProducer> P started(P producer, String instance) throws Exception {
        configure(producer, instance);
        producer.setSendMsgTimeout(10_000);
        // A repeated send would hide a refusal.
        producer.setRetryTimesWhenSendFailed(0);
        producer.setRetryTimesWhenSendAsyncFailed(0);
        producer.start();
        return producer;
    }

    /** Begins with the topic's first message. */
    static DefaultMQPushConsumer pushConsumer(String group) {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        configure(consumer, group);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    static void configure(ClientConfig client, String instance) {
        client.setNamesrvAddr(Options.NAMESRV);
        client.setInstanceName(instance);
    }

    static void stored(SendResult result) {
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            Harness.fail(new AssertionError("a send ended with " + result.getSendStatus()));
        }
    }
}
