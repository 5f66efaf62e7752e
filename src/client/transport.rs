//! One request and its answer.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::root_cause;
use super::{CALL_TIMEOUT, Client, ClientError};
use crate::api::{PROBLEM_JSON, Problem};

/// The longest answer that is read: a page of 200 jobs with results of 1 MiB each.
const ANSWER_LIMIT: usize = 256 * 1024 * 1024;

/// Three more tries within two seconds: enough for a server that is being replaced. Whoever wants to
/// wait longer knows how long.
const PATIENCE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(100))
    .with_factor(2.0)
    .with_max_times(3)
    .with_jitter();

impl Client {
    /// The address of a path given by its segments, which are escaped.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    pub(super) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, ClientError> {
        let mut request = self.http.request(method, url).timeout(CALL_TIMEOUT);
        if let Some(key) = &self.key {
            let text = format!("Bearer {}", key.expose_secret());
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| ClientError::Setup("the API key has characters that no header can carry".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(workspace) = &self.workspace {
            request = request.header("x-windlass-workspace", workspace.as_str());
        }
        Ok(request)
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let request = self.request(Method::GET, self.url(path, query))?;
        self.read(self.send_repeatable(&request).await?).await
    }

    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(method, self.url(path, &[]))?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.read(self.send(request).await?).await
    }

    /// A call that may be sent twice, because doing it again changes nothing.
    pub(super) async fn post_repeatable<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(Method::POST, self.url(path, &[]))?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.read(self.send_repeatable(&request).await?).await
    }

    /// A call whose answer has no content that matters.
    pub(super) async fn act(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<(), ClientError> {
        let mut request = self.request(method, self.url(path, &[]))?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.check(self.send(request).await?).await.map(drop)
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        request.send().await.map_err(|e| self.unreachable(&e))
    }

    /// Sends what may be sent twice (a read, or an enqueue, which its id makes safe), and again when
    /// it fails in a way that may pass.
    pub(super) async fn send_repeatable(&self, request: &RequestBuilder) -> Result<Response, ClientError> {
        let once = async || {
            let copy = request.try_clone();
            let copy = copy.ok_or_else(|| ClientError::Setup("the request cannot be repeated".to_owned()))?;
            self.check(self.send(copy).await?).await
        };
        (|| once()).retry(PATIENCE).when(ClientError::may_pass).await
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, ClientError> {
        let response = self.check(response).await?;
        let status = response.status().as_u16();
        let text = self.body(response).await?;
        serde_json::from_slice(&text).map_err(|e| self.unexpected(status, format!("not the expected JSON: {e}")))
    }

    /// Lets successes through and turns everything else into an error.
    pub(super) async fn check(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let is_problem = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.starts_with(PROBLEM_JSON));
        let body = self.body(response).await?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem => Err(ClientError::Problem(Box::new(problem))),
            _ => {
                let text = String::from_utf8_lossy(&body);
                Err(self.unexpected(status.as_u16(), crate::domain::clip_text(&text, 200)))
            }
        }
    }

    pub(super) async fn body(&self, mut response: Response) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if body.len() + piece.len() > ANSWER_LIMIT {
                return Err(self.unexpected(response.status().as_u16(), "the answer is too long".to_owned()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        let reason = if error.is_timeout() { "no answer in time".to_owned() } else { root_cause(error) };
        ClientError::Unreachable { url: self.base.to_string(), reason, may_pass: !error.is_timeout() }
    }

    pub(super) fn unexpected(&self, status: u16, text: String) -> ClientError {
        ClientError::Unexpected { url: self.base.to_string(), status, text }
    }
}

/// The time for a call that was asked to wait.
pub(super) fn timeout_for(wait: Duration) -> Duration {
    CALL_TIMEOUT + wait
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::ErrorCode;
    use crate::api::key::CreateKey;

    fn response(status: &str, kind: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }

    fn refusal(code: ErrorCode) -> String {
        response("503 Unavailable", PROBLEM_JSON, &serde_json::to_string(&Problem::new(code, "x")).unwrap())
    }

    /// Gives each connection one of the answers, then refuses.
    async fn answer(listener: TcpListener, answers: &[String]) {
        for text in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            }
            stream.write_all(text.as_bytes()).await.unwrap();
        }
    }

    async fn server() -> (TcpListener, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        (listener, client)
    }

    #[tokio::test]
    async fn a_read_is_repeated_when_its_failure_may_pass() {
        let (listener, client) = server().await;
        let good = response("200 OK", "application/json", r#"{"queues":[]}"#);
        let answers = [refusal(ErrorCode::RedisUnavailable), refusal(ErrorCode::Overloaded), good];
        let (list, ()) = tokio::join!(client.queues(), answer(listener, &answers));
        assert_eq!(list.unwrap().queues, []);
    }

    #[tokio::test]
    async fn the_last_failure_is_told_and_a_lasting_one_at_once() {
        let (listener, client) = server().await;
        let answers = [ErrorCode::Overloaded; 3].map(refusal);
        let (list, ()) = tokio::join!(client.queues(), answer(listener, &answers));
        assert!(matches!(list, Err(ClientError::Unreachable { may_pass: true, .. })), "{list:?}");
        let (listener, client) = server().await;
        let answers = [refusal(ErrorCode::RedisUnsafe)];
        let (list, ()) = tokio::join!(client.queues(), answer(listener, &answers));
        assert_eq!(list.unwrap_err().code(), Some("redis_unsafe"));
    }

    #[tokio::test]
    async fn what_may_not_be_done_twice_is_sent_one_time() {
        let (listener, client) = server().await;
        let key = CreateKey { workspace: "acme".to_owned(), scopes: Vec::new(), name: None };
        let answers = [refusal(ErrorCode::OutcomeUnknown)];
        let (made, ()) = tokio::join!(client.create_key(&key), answer(listener, &answers));
        assert_eq!(made.unwrap_err().code(), Some("outcome_unknown"));
    }
}
