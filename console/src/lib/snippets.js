// Programs to begin with, for the address that the browser uses. Ports are the node's own, as it tells them.
export const LANGUAGES = ['Java 5.x', 'Java 4.x', 'Go 5.x', 'Python 5.x', 'Node 5.x', 'Rust 5.x', 'apogee', 'curl'];

export function snippet(language, { host, grpc, namesrv, http, topic, group }) {
  const endpoint = `${host}:${grpc}`;
  const names = `${host}:${namesrv}`;
  return {
    'Java 5.x': `// org.apache.rocketmq:rocketmq-client-java:5.2.0
ClientServiceProvider provider = ClientServiceProvider.loadService();
ClientConfiguration configuration = ClientConfiguration.newBuilder().setEndpoints("${endpoint}").build();

Producer producer = provider.newProducerBuilder().setClientConfiguration(configuration).setTopics("${topic}").build();
producer.send(provider.newMessageBuilder().setTopic("${topic}").setBody("hello".getBytes()).build());

PushConsumer consumer = provider.newPushConsumerBuilder()
        .setClientConfiguration(configuration)
        .setConsumerGroup("${group}")
        .setSubscriptionExpressions(Map.of("${topic}", FilterExpression.SUB_ALL))
        .setMessageListener(message -> ConsumeResult.SUCCESS)
        .build();`,
    'Java 4.x': `// org.apache.rocketmq:rocketmq-client:5.5.0
DefaultMQProducer producer = new DefaultMQProducer("producers");
producer.setNamesrvAddr("${names}");
producer.start();
producer.send(new Message("${topic}", "hello".getBytes()));

DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("${group}");
consumer.setNamesrvAddr("${names}");
consumer.subscribe("${topic}", "*");
consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) ->
        ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
consumer.start();`,
    'Go 5.x': `// github.com/apache/rocketmq-clients/golang/v5
config := &golang.Config{
	Endpoint:      "${endpoint}",
	ConsumerGroup: "${group}",
	Credentials:   &credentials.SessionCredentials{},
}
producer, _ := golang.NewProducer(config, golang.WithTopics("${topic}"))
_ = producer.Start()
producer.Send(context.TODO(), &golang.Message{Topic: "${topic}", Body: []byte("hello")})

consumer, _ := golang.NewSimpleConsumer(config,
	golang.WithSimpleAwaitDuration(5*time.Second),
	golang.WithSimpleSubscriptionExpressions(map[string]*golang.FilterExpression{"${topic}": golang.SUB_ALL}))
_ = consumer.Start()
messages, _ := consumer.Receive(context.TODO(), 16, 20*time.Second)
for _, message := range messages {
	_ = consumer.Ack(context.TODO(), message)
}`,
    'Python 5.x': `# pip install rocketmq-python-client
from rocketmq import ClientConfiguration, Credentials, FilterExpression, Message, Producer, SimpleConsumer

configuration = ClientConfiguration("${endpoint}", Credentials())
producer = Producer(configuration, ("${topic}",))
producer.startup()
message = Message()
message.topic, message.body = "${topic}", b"hello"
producer.send(message)

consumer = SimpleConsumer(configuration, "${group}")
consumer.startup()
consumer.subscribe("${topic}", FilterExpression())
for message in consumer.receive(16, 20):
    consumer.ack(message)`,
    'Node 5.x': `// npm install rocketmq-client-nodejs
import rocketmq from 'rocketmq-client-nodejs';

const producer = new rocketmq.Producer({ endpoints: '${endpoint}', namespace: '', topic: '${topic}' });
await producer.startup();
await producer.send({ topic: '${topic}', body: Buffer.from('hello') });

const consumer = new rocketmq.SimpleConsumer({
  endpoints: '${endpoint}', namespace: '', consumerGroup: '${group}', subscriptions: new Map([['${topic}', '*']]),
});
await consumer.startup();
for (const message of await consumer.receive(16)) await consumer.ack(message);`,
    'Rust 5.x': `// cargo add rocketmq
let mut options = ClientOption::default();
options.set_access_url("${endpoint}");
options.set_enable_tls(false);

let mut producer_options = ProducerOption::default();
producer_options.set_topics(vec!["${topic}"]);
let mut producer = Producer::new(producer_options, options.clone())?;
producer.start().await?;
producer.send(MessageBuilder::builder().set_topic("${topic}").set_body(b"hello".to_vec()).build()?).await?;

let mut consumer_options = SimpleConsumerOption::default();
consumer_options.set_consumer_group("${group}");
consumer_options.set_topics(vec!["${topic}"]);
let mut consumer = SimpleConsumer::new(consumer_options, options)?;
consumer.start().await?;
for message in consumer.receive("${topic}", &FilterExpression::new(FilterType::Tag, "*")).await? {
    consumer.ack(&message).await?;
}`,
    apogee: `export APOGEE_SERVER=${http}
apogee topic create ${topic}
apogee send ${topic} --body hello --tag greeting --key k1
apogee receive ${topic} --group ${group} --ack
apogee group describe ${group}`,
    curl: `curl -X PUT ${http}/api/v1/topics/${topic} -d '{"write_queues": 8, "read_queues": 8}'
curl ${http}/api/v1/topics/${topic}/messages -H 'content-type: application/json' -d '{"body": "hello", "tag": "greeting"}'
curl ${http}/api/v1/groups/${group}/receive -H 'content-type: application/json' -d '{"topic": "${topic}", "max_messages": 16}'`,
  }[language];
}
