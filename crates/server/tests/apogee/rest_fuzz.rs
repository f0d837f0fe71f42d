//! Requests made of the API's own description, right and wrong ones, against a whole node: nothing
//! is answered with a status of 500 or more, what fails is told as a problem, and what succeeds looks
//! as the description says.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::node::{address, config, get, http, start};

/// Requests of each operation.
const ROUNDS: usize = 100;
const SEED: u64 = 0x5EED_0FF0_22EE;

/// Small and seeded: a failure is found again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Takes as many seconds as it is asked for, ten if it is not: another test asks it (`profile.rs`).
const TAKES_ITS_TIME: [&str; 2] = ["/api/v1/node/profile", "/api/v1/operations/node.profile"];

const TEXTS: [&str; 14] = [
    "t",
    "t",
    "t",
    "g",
    "g",
    "",
    " ",
    "%RETRY%g",
    "%DLQ%g",
    "TBW102",
    "a/b",
    "\u{0}\u{7f}",
    "\u{1F680}",
    "../../etc",
];

fn text(chance: &mut Chance) -> String {
    if chance.one_in(20) { "x".repeat(1 << chance.below(12)) } else { (*chance.of(&TEXTS)).to_owned() }
}

fn number(chance: &mut Chance) -> Value {
    let numbers = [
        json!(0),
        json!(1),
        json!(2),
        json!(8),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
    ];
    chance.of(&numbers).clone()
}

fn nonsense(chance: &mut Chance) -> Value {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let all =
        [Value::Null, json!(true), json!("x"), json!(7), json!([]), json!({}), json!([{ "a": null }]), deep];
    chance.of(&all).clone()
}

/// A value as the schema wants it, mostly.
fn value(schema: &Value, name: &str, chance: &mut Chance) -> Value {
    if chance.one_in(12) {
        return nonsense(chance);
    }
    // A long wait is right, and long.
    if name == "wait_ms" {
        return json!(chance.below(3));
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(cases) = schema.get(either).and_then(Value::as_array) {
            return value(&chance.of(cases).clone(), name, chance);
        }
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return chance.of(values).clone();
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => chance.of(kinds).as_str().unwrap_or("null").to_owned(),
        Some(Value::String(kind)) => kind.clone(),
        _ => return nonsense(chance),
    };
    match kind.as_str() {
        "string" => json!(text(chance)),
        "integer" | "number" => number(chance),
        "boolean" => json!(chance.one_in(2)),
        "array" => {
            let items = schema.get("items").cloned().unwrap_or_default();
            (0..chance.below(4)).map(|_| value(&items, name, chance)).collect()
        }
        "object" => object(schema, chance),
        _ => Value::Null,
    }
}

fn object(schema: &Value, chance: &mut Chance) -> Value {
    let mut out = Map::new();
    let required = |name: &str| {
        schema.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == name))
    };
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let is_left_out = chance.one_in(if required(name) { 15 } else { 2 });
        if !is_left_out {
            out.insert(name.clone(), value(field, name, chance));
        }
    }
    if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()) {
        for _ in 0..chance.below(3) {
            out.insert(text(chance), value(more, "", chance));
        }
    }
    Value::Object(out)
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// One request, as it goes over the wire.
fn request(path: &str, method: &str, description: &Value, chance: &mut Chance) -> String {
    let mut path = path.to_owned();
    let mut query = Vec::new();
    for parameter in description.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let name = parameter["name"].as_str().expect("a name");
        if parameter["in"] == "path" {
            let text = text(chance);
            path = path.replace(&format!("{{{name}}}"), &escaped(if text.is_empty() { "t" } else { &text }));
        } else if chance.one_in(2) {
            let text = match value(&parameter["schema"], name, chance) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            query.push(format!("{name}={}", escaped(&text)));
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let schema = description.pointer("/requestBody/content/application~1json/schema");
    let body = match schema {
        None => String::new(),
        Some(_) if chance.one_in(30) => "{\"not\": json".to_owned(),
        Some(schema) => value(schema, "", chance).to_string(),
    };
    let (method, len) = (method.to_uppercase(), body.len());
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\r\n{body}"
    )
}

/// What of a value is not as its schema says.
fn difference(schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(cases) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let fits = cases.iter().any(|case| difference(case, value, at).is_none());
        return (!fits).then(|| format!("{at}: {value} fits no case"));
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return (!values.contains(value)).then(|| format!("{at}: {value} is none of {values:?}"));
    }
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match schema.get("type") {
        Some(Value::String(kind)) => is(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if !fits {
        return Some(format!("{at}: {value} is no {}", schema["type"]));
    }
    match value {
        Value::Array(items) => {
            let of = schema.get("items")?;
            items.iter().find_map(|item| difference(of, item, &format!("{at}[]")))
        }
        Value::Object(fields) => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let missing = required.filter_map(Value::as_str).find(|name| !fields.contains_key(*name));
            if let Some(name) = missing {
                return Some(format!("{at}.{name} is missing"));
            }
            fields.iter().find_map(|(name, value)| {
                let known = schema.get("properties").and_then(|all| all.get(name));
                let of = known.or_else(|| schema.get("additionalProperties"))?;
                difference(of, value, &format!("{at}.{name}"))
            })
        }
        _ => None,
    }
}

fn check(description: &Value, problem: &Value, request: &str, answer: &str) -> u16 {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status: u16 = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    assert!(status < 500, "{request}\n\n{answer}");
    let schema = match status {
        200 => description.pointer("/responses/200/content/application~1json/schema").expect("a schema"),
        _ => problem,
    };
    // A path can be made into one that there is not, and an escape into no text.
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON\n{request}\n\n{answer}"));
    if let Some(difference) = difference(schema, &body, "answer") {
        panic!("{difference}\n{request}\n\n{answer}");
    }
    status
}

async fn prepare(rest: SocketAddr) {
    for (path, body) in [
        ("/api/v1/operations/topic.put", json!({ "config": { "name": "t" } })),
        ("/api/v1/operations/group.put", json!({ "config": { "name": "g" } })),
        ("/api/v1/topics/t/messages", json!({ "body": "x", "keys": ["k"] })),
        ("/api/v1/groups/g/receive", json!({ "topic": "t" })),
    ] {
        let answer = crate::node::post(rest, path, &body.to_string()).await;
        // A quota that a request has set may refuse it.
        assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 429"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_the_node_fail() {
    let dir = tempfile::tempdir().expect("a folder");
    let node = start(&config(&dir)).await;
    let rest = address(&node, "http");
    let document = get(rest, "/api/v1/openapi.json").await;
    let document: Value =
        serde_json::from_str(document.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
    let problem = document.pointer("/components/schemas/Problem").expect("described");
    let mut chance = Chance(SEED);
    let (mut done, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        prepare(rest).await;
        for (path, methods) in document["paths"].as_object().expect("paths") {
            if TAKES_ITS_TIME.contains(&path.as_str()) {
                continue;
            }
            for (method, description) in methods.as_object().expect("methods") {
                let request = request(path, method, description, &mut chance);
                match check(description, problem, &request, &http(rest, &request).await) {
                    200 => done += 1,
                    _ => refused += 1,
                }
            }
        }
    }
    assert!(done > 500 && refused > 500, "{done} were done and {refused} refused: both have to be tried");
    node.stop().await.expect("it stops in order");
}
