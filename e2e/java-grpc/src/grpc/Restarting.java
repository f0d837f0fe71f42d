package grpc;

import static grpc.Clients.producer;
import static grpc.Clients.pushConsumer;
import static grpc.Clients.sender;

import grpc.Clients.Listening;
import java.time.Duration;
import kit.Harness;
import kit.Inbox;
import kit.SteadySender;
import org.apache.rocketmq.client.apis.producer.Producer;

/** The server goes away and comes back in the middle of sending and consuming. */
final class Restarting {
    private static final Duration PATIENCE = Duration.ofSeconds(150);

    private Restarting() {
    }

    static void addTo(Harness harness) {
        harness.add("restart-graceful", () -> surviveRestart(Harness.Restart.graceful))
            .add("restart-kill", () -> surviveRestart(Harness.Restart.kill));
    }

    private static void surviveRestart(Harness.Restart how) throws Exception {
        String topic = Harness.topic(4);
        Inbox inbox = new Inbox();
        try (Producer producer = producer(topic);
                Listening consumer = pushConsumer(Harness.group(), topic, inbox)) {
            SteadySender steady = new SteadySender(sender(producer, topic));
            steady.awaitMore(50, PATIENCE);
            Harness.restart(how);
            steady.awaitMore(50, PATIENCE);
            inbox.awaitBodies(steady.stop(), PATIENCE);
        }
    }
}
