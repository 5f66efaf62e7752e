//! A token endpoint of Google's and Microsoft's form (RFC 6749, sections 5.1, 5.2 and 6), and of GitHub's `GET /user`.
//!
//! Forms in, JSON out. Refresh tokens are used up: every answer has the next one, and an older one is refused as
//! `invalid_grant`, which is stricter than either provider is. So a token that was lost shows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, RawForm, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use windlass::engine::tasks;
use windlass::executors::actions::TokenEndpoints;

/// The first refresh token, by its number.
pub(crate) const FIRST: &str = "refresh-canary-0";

#[derive(Default)]
struct Book {
    /// Forms as they came, with the tenant of the path.
    asked: Vec<(String, Vec<(String, String)>)>,
    /// Answers that come before any other.
    faults: VecDeque<(u16, Value)>,
    granted: usize,
}

#[derive(Clone)]
struct Desk {
    book: Arc<Mutex<Book>>,
    open: watch::Receiver<bool>,
    seen: watch::Sender<usize>,
}

/// A running endpoint.
pub(crate) struct OAuthServer {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
    gate: watch::Sender<bool>,
    seen: watch::Receiver<usize>,
}

impl OAuthServer {
    pub(crate) async fn start() -> Self {
        let (gate, open) = watch::channel(true);
        let (sender, seen) = watch::channel(0);
        let book = Arc::new(Mutex::new(Book::default()));
        let desk = Desk { book: Arc::clone(&book), open, seen: sender };
        let app = Router::new()
            .route("/token", post(google))
            .route("/{tenant}/oauth2/v2.0/token", post(microsoft))
            .route("/user", get(user))
            .with_state(desk);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tasks::spawn("oauth-server", async move { axum::serve(listener, app).await });
        Self { url, book, gate, seen }
    }

    pub(crate) fn endpoints(&self) -> TokenEndpoints {
        TokenEndpoints { google: format!("{}/token", self.url), microsoft: self.url.clone() }
    }

    /// Requests for tokens so far, with the tenant of each.
    pub(crate) fn asked(&self) -> Vec<(String, Vec<(String, String)>)> {
        self.book.lock().unwrap().asked.clone()
    }

    /// How many tokens were given.
    pub(crate) fn granted(&self) -> usize {
        self.book.lock().unwrap().granted
    }

    /// The next request is answered with this.
    pub(crate) fn fail(&self, status: u16, body: Value) {
        self.book.lock().unwrap().faults.push_back((status, body));
    }

    /// Requests are answered only after [`Self::release`].
    pub(crate) fn hold(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn release(&self) {
        self.gate.send_replace(true);
    }

    /// Waits until `count` requests have come.
    pub(crate) async fn wait_asked(&mut self, count: usize) {
        self.seen.wait_for(|seen| *seen >= count).await.unwrap();
    }
}

async fn google(State(desk): State<Desk>, headers: HeaderMap, RawForm(form): RawForm) -> Response {
    token(desk, "", &headers, &form).await
}

async fn microsoft(
    State(desk): State<Desk>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    token(desk, &tenant, &headers, &form).await
}

async fn token(mut desk: Desk, tenant: &str, headers: &HeaderMap, form: &[u8]) -> Response {
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form).into_owned().collect();
    desk.book.lock().unwrap().asked.push((tenant.to_owned(), pairs.clone()));
    desk.seen.send_modify(|seen| *seen += 1);
    desk.open.wait_for(|open| *open).await.unwrap();
    let field = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let mut book = desk.book.lock().unwrap();
    if let Some((status, body)) = book.faults.pop_front() {
        return answer(status, &body);
    }
    let expected = format!("refresh-canary-{}", book.granted);
    match field("grant_type") {
        Some("refresh_token") if field("refresh_token") == Some(&expected) => {}
        Some("client_credentials") if field("client_secret").is_some() => {}
        _ => return answer(400, &json!({"error": "invalid_grant", "error_description": "it was used"})),
    }
    book.granted += 1;
    let number = book.granted;
    let mut granted =
        json!({"token_type": "Bearer", "access_token": format!("access-canary-{number}"), "expires_in": 3599});
    if field("grant_type") == Some("refresh_token") {
        granted["refresh_token"] = format!("refresh-canary-{number}").into();
        granted["scope"] = "https://www.googleapis.com/auth/gmail.send".into();
    }
    answer(200, &granted)
}

async fn user(headers: HeaderMap) -> Response {
    match headers.get("authorization").and_then(|value| value.to_str().ok()) {
        Some("Bearer github-canary") => answer(200, &json!({"login": "octocat"})),
        _ => answer(401, &json!({"message": "Bad credentials"})),
    }
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(body.clone())).into_response()
}
