package remoting;

import static remoting.Clients.impatient;
import static remoting.Clients.message;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import kit.Harness;
import kit.Inbox;
import kit.Sequence;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Half messages, decided by their numbers, while the server is killed; then the topic is read from its beginning. */
final class KillTransactions {
    private static final int SENDERS = 8;
    /** One half message in so many is decided only when it is asked about. */
    private static final int LEFT_OPEN_ONE_IN = 16;
    private static final long PAUSE_AFTER_ERROR_NANOS = 20_000_000;

    private KillTransactions() {
    }

    static void run() throws Exception {
        long count = Long.parseLong(System.getenv("COUNT"));
        String topic = Harness.topic(4);
        String group = Harness.unique("producers");
        AtomicLong next = new AtomicLong();
        AtomicLong acknowledged = new AtomicLong();
        TransactionMQProducer producer = new TransactionMQProducer(group);
        impatient(producer);
        producer.setSendMsgTimeout(5_000);
        // A half message whose answer was lost would be sent again by the client: two transactions with one body.
        producer.setRetryTimesWhenSendFailed(0);
        producer.setTransactionListener(new ByNumber());
        producer.start();
        Thread[] senders = new Thread[SENDERS];
        for (int number = 0; number < SENDERS; number++) {
            senders[number] = new Thread(() -> {
                while (acknowledged.get() < count) {
                    send(producer, topic, next.getAndIncrement(), acknowledged);
                }
            });
            senders[number].start();
        }
        for (Thread sender : senders) {
            sender.join();
        }
        Harness.say("STOPPED");
        Clients.consumer(Harness.group(), topic, "*", new Inbox(), letter -> {
            Sequence.report(letter.body());
            return true;
        });
        // The producer goes on answering checks until the harness ends the process.
        Thread.currentThread().join();
    }

    private static void send(TransactionMQProducer producer, String topic, long number, AtomicLong acknowledged) {
        Message message = message(topic, Sequence.body("tx", number));
        try {
            producer.sendMessageInTransaction(message, number);
            acknowledged.incrementAndGet();
            Harness.say("ACKED tx " + number);
        } catch (Exception unacknowledged) {
            // The half message may be stored or not; if it is, somebody will be asked about it.
            LockSupport.parkNanos(PAUSE_AFTER_ERROR_NANOS);
        }
    }

    private static final class ByNumber implements TransactionListener {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object number) {
            return (long) number % LEFT_OPEN_ONE_IN < 2 ? LocalTransactionState.UNKNOW : decision((long) number);
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return decision(Long.parseLong(new String(message.getBody(), StandardCharsets.UTF_8).split(" ")[1]));
        }

        private static LocalTransactionState decision(long number) {
            return number % 2 == 0 ? LocalTransactionState.COMMIT_MESSAGE : LocalTransactionState.ROLLBACK_MESSAGE;
        }
    }
}
