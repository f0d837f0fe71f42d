package remoting;

import java.util.concurrent.atomic.LongAdder;
import load.Bodies;
import load.Meter;
import load.Options;
import load.Sending;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Transactions that are committed at once; in the end the topic must hold every one, once. */
final class Transactions {
    private static final TransactionListener COMMITS = new TransactionListener() {
        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            return LocalTransactionState.COMMIT_MESSAGE;
        }
    };

    private final Options options;
    private final Meter meter;
    private final TransactionMQProducer producer = new TransactionMQProducer(Options.GROUP);
    private final LongAdder committed = new LongAdder();

    Transactions(Options options, Meter meter) throws Exception {
        this.options = options;
        this.meter = meter;
        producer.setTransactionListener(COMMITS);
        Clients.started(producer, "producer");
    }

    void run() throws Exception {
        int bytes = options.number("bytes");
        new Sending(options, meter).sync(() -> {
            Message message = new Message(Options.TOPIC, Bodies.any(bytes));
            TransactionSendResult result = producer.sendMessageInTransaction(message, null);
            Clients.stored(result);
            if (result.getLocalTransactionState() != LocalTransactionState.COMMIT_MESSAGE) {
                throw new AssertionError("a transaction ended as " + result.getLocalTransactionState());
            }
            committed.increment();
            return 1;
        });
        new StoredCount().await(committed.sum());
        meter.report();
    }
}
