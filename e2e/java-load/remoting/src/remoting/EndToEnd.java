package remoting;

import java.nio.ByteBuffer;
import load.Harness;
import load.Meter;
import load.Options;
import load.Pacing;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** From the moment when a message was due to be sent until a push consumer's listener has it. */
final class EndToEnd {
    private final Pacing pacing;
    private final DefaultMQProducer producer = Clients.producer("producer");

    EndToEnd(Options options, Meter meter) throws Exception {
        pacing = new Pacing(options, meter);
    }

    void run() throws Exception {
        DefaultMQPushConsumer consumer = Clients.pushConsumer(Options.GROUP);
        consumer.subscribe(Options.TOPIC, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> pacing.consumed(ByteBuffer.wrap(message.getBody())));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        pacing.run(body -> producer.send(new Message(Options.TOPIC, body), new SendCallback() {
            @Override
            public void onSuccess(SendResult result) {
                Clients.stored(result);
            }

            @Override
            public void onException(Throwable failure) {
                Harness.fail(failure);
            }
        }));
    }
}
