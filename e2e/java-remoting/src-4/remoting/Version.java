package remoting;

import kit.Harness;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;

/** The 4.9 client has nothing of its own. */
final class Version {
    private Version() {
    }

    static void addTo(Harness harness) {
    }

    /** The class of message models has moved between the versions. */
    static void broadcast(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(org.apache.rocketmq.common.protocol.heartbeat.MessageModel.BROADCASTING);
    }
}
