//! A client of a job's server-sent events.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::Method;
use serde_json::Value;

use super::api::Api;

/// One event: id, name, data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open stream of events.
pub(crate) struct Feed {
    pub(crate) response: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
    comments: usize,
}

impl Feed {
    /// The events of one job.
    pub(crate) async fn open(api: &Api, key: &str, id: impl std::fmt::Display, last: Option<&str>) -> Self {
        Self::at(api, key, &format!("/ai/jobs/{id}/events"), last).await
    }

    /// The events at a path.
    pub(crate) async fn at(api: &Api, key: &str, path: &str, last: Option<&str>) -> Self {
        let mut request = api.request(Method::GET, path).bearer_auth(key);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { response: response.bytes_stream().boxed(), buffer: String::new(), comments: 0 }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|l| l.strip_prefix(name)).map(|v| v.trim().to_owned());
                match field("data:") {
                    Some(data) => {
                        let data = serde_json::from_str(&data).expect("JSON");
                        return Some(Event { id: field("id:"), name: field("event:").expect("a name"), data });
                    }
                    None => self.comments += 1,
                }
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.next()).await.expect("in time")?;
            self.buffer.push_str(std::str::from_utf8(&chunk.expect("a chunk")).expect("UTF-8"));
        }
    }

    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
