package main

import (
	"context"
	"sync"
	"time"

	"apogee/e2e/kit"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const (
	transactions = 20
	// quiet is longer than the first check and one interval of the server under test.
	quiet = 9 * time.Second
)

type states func(body string) primitive.LocalTransactionState

func unknown(string) primitive.LocalTransactionState { return primitive.UnknowState }

func byNumber(body string) primitive.LocalTransactionState {
	if kit.IsEven(body) {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

// decider says what its functions say, and remembers what it was asked.
type decider struct {
	mutex             sync.Mutex
	asked             map[string]int
	atOnce, whenAsked states
}

func newDecider(atOnce, whenAsked states) *decider {
	return &decider{asked: map[string]int{}, atOnce: atOnce, whenAsked: whenAsked}
}

func (d *decider) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	return d.atOnce(string(message.Body))
}

func (d *decider) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	body := string(message.Body)
	d.mutex.Lock()
	d.asked[body]++
	d.mutex.Unlock()
	return d.whenAsked(body)
}

func (d *decider) count() int {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return len(d.asked)
}

func (d *decider) producer(group string) rocketmq.TransactionProducer {
	client, err := rocketmq.NewTransactionProducer(d,
		producer.WithCredentials(own),
		producer.WithNameServer([]string{kit.Namesrv}),
		producer.WithGroupName(group),
		producer.WithInstanceName(kit.Unique("instance")),
		producer.WithSendMsgTimeout(sendTimeout),
		producer.WithRetry(2),
	)
	kit.Must(err)
	kit.Must(client.Start())
	return client
}

func sendHalves(client rocketmq.TransactionProducer, topic string, bodies []string) {
	for _, body := range bodies {
		result, err := client.SendMessageInTransaction(context.Background(),
			primitive.NewMessage(topic, []byte(body)))
		kit.Must(err)
		kit.Equal("status", primitive.SendOK, result.Status)
	}
}

func commitAndRollback() {
	topic := kit.Topic(4)
	decides := newDecider(byNumber, unknown)
	client := decides.producer(kit.Unique("producers"))
	bodies := kit.Bodies("settled", transactions)
	sendHalves(client, topic, bodies)
	expectEven(topic, bodies)
	kit.Equal("checks of what was decided", 0, decides.count())
	kit.Must(client.Shutdown())
}

func checkOpen() {
	topic := kit.Topic(4)
	decides := newDecider(unknown, byNumber)
	client := decides.producer(kit.Unique("producers"))
	bodies := kit.Bodies("open", transactions)
	sendHalves(client, topic, bodies)
	expectEven(topic, bodies)
	kit.Equal("asked about", transactions, decides.count())
	kit.Must(client.Shutdown())
}

// The committed half is received, once; then nothing more for a while.
func expectEven(topic string, bodies []string) {
	var wanted []string
	for _, body := range bodies {
		if kit.IsEven(body) {
			wanted = append(wanted, body)
		}
	}
	inbox := kit.NewInbox()
	consumer := kit.Listen(driver{}, kit.Group(), topic, inbox)
	kit.AwaitBodies(wanted, kit.Patience, inbox)
	inbox.ExpectSilence(quiet)
	kit.EachOnce(wanted, inbox)
	kit.Equal("received", len(wanted), len(inbox.Letters()))
	kit.Leave(consumer)
}
