package remoting;

import static remoting.Clients.consumer;
import static remoting.Clients.message;
import static remoting.Clients.producer;

import java.time.Duration;
import kit.Harness;
import kit.Inbox;
import kit.SteadySender;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;

/** The server goes away and comes back in the middle of sending and consuming. */
final class Restarting {
    private static final Duration PATIENCE = Duration.ofSeconds(120);

    private Restarting() {
    }

    static void addTo(Harness harness) {
        harness.add("restart-graceful", () -> surviveRestart(Harness.Restart.graceful))
            .add("restart-kill", () -> surviveRestart(Harness.Restart.kill));
    }

    private static void surviveRestart(Harness.Restart how) throws Exception {
        String topic = Harness.topic(4);
        DefaultMQProducer producer = producer();
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer = consumer(Harness.group(), topic, inbox);
        SteadySender sender = new SteadySender(body -> producer.send(message(topic, body)));
        sender.awaitMore(50, PATIENCE);
        Harness.restart(how);
        sender.awaitMore(50, PATIENCE);
        inbox.awaitBodies(sender.stop(), PATIENCE);
        consumer.shutdown();
        producer.shutdown();
    }
}
