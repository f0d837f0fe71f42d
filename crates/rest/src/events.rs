//! `GET /api/v1/events`: what happens to the node, as server-sent events (WHATWG HTML, section 9.2).
//!
//! A stream is the operation `event.list` asked again and again, each time from the last event on: so who may not
//! ask may not listen, a right that is taken away ends the stream, and nothing is held for a client that reads
//! slowly but its place.

use std::fmt::Write;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, header};
use model::admin::{CloudEvent, EventList, EventListRequest, EventPage};
use serde::Deserialize;

use crate::app::{App, Caller};
use crate::error::Problem;
use crate::limits::EVENT_WAIT_MS;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    types: Option<String>,
    after: Option<String>,
}

/// A stream under way.
struct Listener {
    app: Arc<App>,
    caller: Caller,
    request: EventListRequest,
    first: Option<EventPage>,
    is_over: bool,
}

pub(crate) async fn stream(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Wanted { types, after } = query?.0;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let after = last.map(str::to_owned).or(after);
    let is_new = after.is_none();
    let mut request = EventListRequest { types, after, max: None, wait_ms: None };
    // The first one is asked for before anything is answered: a refusal is an answer of its own.
    let page = ask(&app, &caller, &request).await?;
    if is_new {
        // From now on; what was before is asked for by `event.list`.
        request.after = Some(page.last_id.clone().unwrap_or_default());
    }
    let first = (!is_new).then_some(page);
    let listener = Listener { app, caller, request, first, is_over: false };
    let body = Body::from_stream(stream::unfold(listener, |mut listener| async move {
        let text = listener.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), listener))
    }));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn ask(app: &App, caller: &Caller, request: &EventListRequest) -> Result<EventPage, Problem> {
    Ok(model::admin::run::<EventList>(&*app.engine, &caller.session, request.clone()).await?)
}

impl Listener {
    /// What is sent next; none at the end.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if let Some(page) = self.first.take() {
            return Some(self.shown(&page));
        }
        if self.request.wait_ms.is_none() {
            // Told at once, so that the client knows that it listens.
            self.request.wait_ms = Some(EVENT_WAIT_MS);
            return Some(": listening\n\n".to_owned());
        }
        let drain = self.caller.drain.clone();
        let page = tokio::select! {
            biased;
            page = ask(&self.app, &self.caller, &self.request) => page,
            () = drain.requested() => return None,
        };
        match page {
            Ok(page) => Some(self.shown(&page)),
            Err(problem) => {
                self.is_over = true;
                Some(format!("event: refused\ndata: {}\n\n", problem.detail.replace(['\r', '\n'], " ")))
            }
        }
    }

    fn shown(&mut self, page: &EventPage) -> String {
        let mut out = String::new();
        for event in &page.events {
            put(&mut out, event);
        }
        if let Some(last) = page.events.last() {
            self.request.after = Some(last.id.clone());
        }
        if out.is_empty() {
            out.push_str(": nothing new\n\n");
        }
        out
    }
}

fn put(out: &mut String, event: &CloudEvent) {
    let data = serde_json::to_string(event).expect("an event is plain data");
    let _ = write!(out, "id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data() {
        let event = CloudEvent {
            specversion: "1.0".to_owned(),
            id: "1-2".to_owned(),
            source: "/a".to_owned(),
            kind: "io.apogee.x".to_owned(),
            subject: None,
            time: String::new(),
            datacontenttype: "application/json".to_owned(),
            data: serde_json::json!({ "text": "two\nlines" }),
        };
        let mut out = String::new();
        put(&mut out, &event);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 4, "{out}");
        assert_eq!(&lines[..2], ["id: 1-2", "event: io.apogee.x"]);
        let data = lines[2].strip_prefix("data: ").expect("data");
        assert_eq!(serde_json::from_str::<CloudEvent>(data).expect("JSON"), event);
    }
}
