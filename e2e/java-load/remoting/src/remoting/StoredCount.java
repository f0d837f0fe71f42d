package remoting;

import java.util.List;
import load.Options;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;

/** What the topic holds, read through a connection of its own, so as not to wait behind what is being sent. */
final class StoredCount {
    private static final long PATIENCE_MS = 30_000;

    private final DefaultMQProducer observer = Clients.producer("observer");
    private final List<MessageQueue> queues = observer.fetchPublishMessageQueues(Options.TOPIC);
    private long before;
    private long now;

    StoredCount() throws Exception {
    }

    void read() throws Exception {
        before = now;
        now = 0;
        for (MessageQueue queue : queues) {
            now += observer.getDefaultMQProducerImpl().maxOffset(queue);
        }
    }

    /** Between the last two readings. */
    long difference() {
        return now - before;
    }

    /** Not more and not fewer, once what is under way has come through. */
    void await(long expected) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        read();
        while (now != expected) {
            if (now > expected || System.currentTimeMillis() > deadline) {
                throw new AssertionError("the topic holds " + now + " messages, not " + expected);
            }
            Thread.sleep(50);
            read();
        }
    }
}
