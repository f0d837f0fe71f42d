package remoting;

import static kit.Expect.equal;
import static remoting.Clients.PATIENCE;
import static remoting.Clients.producer;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import kit.Harness;
import kit.Inbox;
import kit.Letter;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Filters of groups that pop. */
final class PopFiltering {
    private PopFiltering() {
    }

    static void addTo(Harness harness) {
        harness.add("filter-pop-sql", () -> pop(MessageSelector.bySql("price > 10 AND TAGS = 'Aa'")))
            .add("filter-pop-tag", () -> pop(MessageSelector.byTag("Aa")));
    }

    /** One matches and is tried twice; what lies before, between and behind does not match. */
    private static void pop(MessageSelector selector) throws Exception {
        String topic = Harness.topic(1);
        String group = Harness.group();
        Harness.operator("pop-mode " + topic + " " + group);
        Inbox inbox = new Inbox();
        DefaultMQPushConsumer consumer =
            Clients.unstartedConsumer(group, topic, "*", inbox, letter -> letter.attempt() >= 2);
        consumer.setClientRebalance(false);
        consumer.subscribe(topic, selector);
        consumer.start();
        DefaultMQProducer producer = producer();
        // "Aa" and "BB" have one hash in Java.
        for (String tag : List.of("BB", "BB", "Aa", "BB")) {
            Message message = new Message(topic, tag, tag.getBytes(StandardCharsets.UTF_8));
            message.putUserProperty("price", tag.equals("Aa") ? "12" : "1");
            producer.send(message);
        }
        List<Letter> attempts = inbox.await(2, PATIENCE);
        for (int attempt = 1; attempt <= 2; attempt++) {
            equal("body", "Aa", attempts.get(attempt - 1).body());
            equal("attempt", attempt, attempts.get(attempt - 1).attempt());
        }
        inbox.expectSilence(Duration.ofSeconds(2));
        consumer.shutdown();
        producer.shutdown();
    }
}
