//! Routes and assignments, and the address that clients are told.

use model::topic::{ATTRIBUTE_MESSAGE_TYPE, Permission as Bits};

use super::kit::*;
use crate::GrpcConfig;
use crate::proto::*;

async fn route(client: &mut Client, topic: &str, endpoints: Option<Endpoints>) -> QueryRouteResponse {
    let request = QueryRouteRequest { topic: resource(topic), endpoints };
    client.query_route(from_client("a", request)).await.expect("answered").into_inner()
}

fn address(queue: &MessageQueue) -> (i32, String, i32) {
    let endpoints = queue.broker.as_ref().expect("set").endpoints.as_ref().expect("set");
    (endpoints.scheme, endpoints.addresses[0].host.clone(), endpoints.addresses[0].port)
}

#[tokio::test]
async fn clients_are_told_the_address_that_they_came_in_by() {
    let server = Running::start().await;
    let mut client = server.client().await;
    let response = route(&mut client, "t", None).await;
    assert_eq!(response.status.expect("set").code, 20000);
    assert_eq!(response.message_queues.len(), 2);
    let queue = &response.message_queues[0];
    let ipv4: i32 = AddressScheme::IPv4.into();
    assert_eq!(address(queue), (ipv4, "127.0.0.1".to_owned(), i32::from(server.port)));
    assert_eq!((queue.id, queue.permission()), (0, Permission::ReadWrite));
    assert_eq!(queue.accept_message_types, [i32::from(MessageType::Normal)]);
    assert_eq!(queue.broker.as_ref().expect("set").name, "apogee-0");
}

#[tokio::test]
async fn without_an_authority_what_the_client_says_counts_then_what_we_see() {
    let server = Running::start().await;
    let origin: http::Uri = "http://IPAuthority".parse().expect("legal");
    let url = format!("http://127.0.0.1:{}", server.port);
    let endpoint = tonic::transport::Endpoint::from_shared(url).expect("legal").origin(origin);
    let mut client = Client::new(endpoint.connect().await.expect("listening"));
    let said = Endpoints {
        scheme: AddressScheme::DomainName.into(),
        addresses: vec![Address { host: "mq.example.com".to_owned(), port: 8081 }],
    };
    let name: i32 = AddressScheme::DomainName.into();
    let told = route(&mut client, "t", Some(said)).await;
    assert_eq!(address(&told.message_queues[0]), (name, "mq.example.com".to_owned(), 8081));
    let told = route(&mut client, "t", None).await;
    assert_eq!(address(&told.message_queues[0]), (name, "seen.example.com".to_owned(), 1));
}

#[tokio::test]
async fn the_operator_has_the_last_word() {
    let config = GrpcConfig { advertised: "[2001:db8::1]:9".to_owned(), ..GrpcConfig::default() };
    let server = Running::with(config).await;
    let mut client = server.client().await;
    let told = route(&mut client, "t", None).await;
    let ipv6: i32 = AddressScheme::IPv6.into();
    assert_eq!(address(&told.message_queues[0]), (ipv6, "2001:db8::1".to_owned(), 9));
}

#[tokio::test]
async fn unknown_and_illegal_topics_are_told_apart() {
    let server = Running::start().await;
    let mut client = server.client().await;
    for (topic, code) in
        [("nowhere", 40402), ("no where", 40002), ("", 40002), ("RMQ_SYS_TRACE_TOPIC", 40002)]
    {
        assert_eq!(route(&mut client, topic, None).await.status.expect("set").code, code, "{topic}");
    }
}

#[tokio::test]
async fn a_topic_says_which_kinds_it_takes() {
    let server = Running::start().await;
    server.make_topic("mixed", |config| {
        config.attributes.insert(ATTRIBUTE_MESSAGE_TYPE.to_owned(), "MIXED".to_owned());
    });
    let mut client = server.client().await;
    let told = route(&mut client, "mixed", None).await;
    use MessageType::{Delay, Fifo, Normal, Transaction};
    let expected: Vec<i32> = [Normal, Fifo, Delay, Transaction].map(Into::into).to_vec();
    assert_eq!(told.message_queues[0].accept_message_types, expected);
}

#[tokio::test]
async fn one_assignment_per_broker_or_one_per_queue_where_order_counts() {
    let server = Running::start().await;
    server.make_group("ordered", |group| group.ordered = true);
    server.make_topic("writeonly", |config| config.permission = Bits(Bits::WRITE));
    let mut client = server.client().await;
    let mut assigned = async |topic: &str, group: &str| {
        let request =
            QueryAssignmentRequest { topic: resource(topic), group: resource(group), endpoints: None };
        let response =
            client.query_assignment(from_client("a", request)).await.expect("answered").into_inner();
        let ids: Vec<i32> =
            response.assignments.iter().map(|a| a.message_queue.as_ref().expect("set").id).collect();
        (response.status.expect("set").code, ids)
    };
    assert_eq!(assigned("t", "g").await, (20000, vec![-1]));
    assert_eq!(assigned("t", "unborn").await, (20000, vec![-1]));
    assert_eq!(assigned("t", "ordered").await, (20000, vec![0, 1]));
    assert_eq!(assigned("writeonly", "g").await, (40300, vec![]));
    assert_eq!(assigned("nowhere", "g").await, (40402, vec![]));
    assert_eq!(assigned("t", "no group").await, (40003, vec![]));
}
