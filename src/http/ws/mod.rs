//! One WebSocket from its opening to its end.
//!
//! A connection follows a few jobs at once, each at the pace at which the client reads: nothing is queued for it but
//! what the followers hold. A client that takes nothing for [`SEND`] is cut off. Since a key opens the connection and no
//! cookie does, a page of another origin can do nothing here that it could not do with the key anywhere: there is no
//! check of `Origin`.

mod follow;
mod message;

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::time::MissedTickBehavior;

use crate::api::ErrorCode;
use crate::api::ws::Reply;
use crate::metrics;

use super::auth::{Caller, Permission, WORKSPACE_HEADER, cache};
use super::error::ApiError;
use super::state::HttpState;
use follow::{Following, Step, Work};
use message::{Asked, Message};

/// Jobs followed at once, and commands under way, per connection.
const AT_ONCE: usize = 8;
/// The key has to come within this time.
const AUTH: Duration = Duration::from_secs(5);
/// Pings without any sign of the client before it counts as gone.
const SILENT_PINGS: u32 = 2;
/// A message has to be taken within this time.
const SEND: Duration = Duration::from_secs(20);
/// How long the last frame may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Why a connection ends.
enum End {
    /// The client left, or takes nothing.
    Gone,
    /// The server stops.
    Away,
    /// No key, or none that is good.
    Unauthorized(ApiError),
}

/// Serves a connection to its end. `caller` is there when the key came with the request.
pub(super) async fn serve(socket: WebSocket, state: HttpState, caller: Option<Caller>, headers: HeaderMap) {
    let _counted = Counted::new();
    let mut line = Line { socket };
    let end = Box::pin(converse(&mut line, &state, caller, headers)).await;
    let (code, reason) = match end {
        Err(End::Unauthorized(error)) => {
            drop(line.refuse(None, error).await);
            (close_code::POLICY, "no valid API key")
        }
        Err(End::Away) => (close_code::AWAY, "the server stops"),
        Err(End::Gone) | Ok(()) => (close_code::NORMAL, ""),
    };
    let frame = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
    // Whoever is gone does not need it.
    drop(tokio::time::timeout(CLOSING, line.socket.send(frame)).await);
}

/// Counts as open while it lives, also when its task is dropped.
struct Counted;

impl Counted {
    fn new() -> Self {
        ::metrics::gauge!(metrics::WEBSOCKETS.name).increment(1);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::WEBSOCKETS.name).decrement(1);
    }
}

async fn converse(line: &mut Line, state: &HttpState, caller: Option<Caller>, headers: HeaderMap) -> Result<(), End> {
    let caller = match caller {
        Some(caller) => caller,
        None => {
            let first = tokio::time::timeout(AUTH, line.first(state, headers));
            let caller = tokio::select! {
                () = state.options().shutdown.cancelled() => return Err(End::Away),
                caller = first => caller.unwrap_or_else(|_| Err(End::Unauthorized(no_key())))?,
            };
            line.say(&Reply::Ready).await?;
            caller
        }
    };
    Session { line, state, caller, work: FuturesUnordered::new(), silent: 0 }.run().await
}

fn no_key() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "the first message has to bring the API key, within 5 s")
}

/// The socket, and how to say something.
struct Line {
    socket: WebSocket,
}

impl Line {
    async fn say(&mut self, reply: &Reply) -> Result<(), End> {
        let Ok(text) = serde_json::to_string(reply) else { return Ok(()) };
        self.send(Frame::text(text)).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        match tokio::time::timeout(SEND, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn refuse(&mut self, id: Option<String>, error: ApiError) -> Result<(), End> {
        self.say(&follow::error(id, None, error)).await
    }

    /// The caller, by the first message.
    async fn first(&mut self, state: &HttpState, mut headers: HeaderMap) -> Result<Caller, End> {
        let text = loop {
            match self.socket.recv().await {
                Some(Ok(Frame::Text(text))) => break text,
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                Some(Ok(Frame::Binary(_))) => return Err(End::Unauthorized(no_key())),
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return Err(End::Gone),
            }
        };
        let asked = message::read(&text).map(|message| message.asked);
        let Ok(Asked::Auth { key, workspace }) = asked else { return Err(End::Unauthorized(no_key())) };
        if let Some(name) = workspace {
            let value = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static(""));
            headers.insert(WORKSPACE_HEADER, value);
        }
        let caller = state.auth().caller_with(Some(key.expose_secret()), &headers).await;
        let caller = caller.map_err(End::Unauthorized)?;
        caller.require(Permission::JobsRead).map_err(End::Unauthorized)?;
        Ok(caller)
    }
}

/// A connection whose caller is known.
struct Session<'a> {
    line: &'a mut Line,
    state: &'a HttpState,
    caller: Caller,
    work: FuturesUnordered<Work>,
    /// Pings since the client was heard last.
    silent: u32,
}

impl Session<'_> {
    async fn run(mut self) -> Result<(), End> {
        let (mut ping, mut check) =
            (tokio::time::interval(self.state.options().ping), tokio::time::interval(cache::LIFE));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            tokio::select! {
                // Followers end with the server too, and what they would say of it is no news.
                biased;
                () = self.state.options().shutdown.cancelled() => return Err(End::Away),
                _ = ping.tick() => self.ping().await?,
                _ = check.tick() => {
                    if self.caller.is_revoked(self.state.auth()).await {
                        let error = ApiError::new(ErrorCode::Unauthorized, "the API key was revoked");
                        return Err(End::Unauthorized(error));
                    }
                }
                Some(step) = self.work.next() => self.step(step).await?,
                frame = self.line.socket.recv() => match frame {
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(frame)) => self.heard(frame).await?,
                },
            }
        }
    }

    async fn ping(&mut self) -> Result<(), End> {
        if self.silent >= SILENT_PINGS {
            return Err(End::Gone);
        }
        self.silent += 1;
        self.line.send(Frame::Ping(Vec::new().into())).await
    }

    async fn heard(&mut self, frame: Frame) -> Result<(), End> {
        self.silent = 0;
        match frame {
            Frame::Text(text) => match message::read(&text) {
                Ok(message) => self.ask(message).await,
                Err((id, error)) => self.line.refuse(id, error).await,
            },
            Frame::Binary(_) => {
                let error = ApiError::new(ErrorCode::UnsupportedMediaType, "messages are text: one JSON object each");
                self.line.refuse(None, error).await
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => Ok(()),
        }
    }

    async fn ask(&mut self, Message { id, asked }: Message) -> Result<(), End> {
        if self.work.len() >= AT_ONCE {
            let detail = format!("a connection may follow {AT_ONCE} jobs at once");
            return self.line.refuse(id, ApiError::new(ErrorCode::Overloaded, detail)).await;
        }
        let (state, caller) = (self.state.clone(), self.caller.clone());
        self.work.push(match asked {
            Asked::Submit { stream, document } => Box::pin(follow::submit(state, caller, id, stream, document)),
            Asked::Attach { job, after } => Box::pin(follow::attach(state, caller, id, job, after)),
            Asked::Cancel { job } => Box::pin(follow::cancel(state, caller, id, job)),
            Asked::Auth { .. } => {
                let error = ApiError::at(ErrorCode::InvalidField, "/type", "is auth, and the key is known already");
                return self.line.refuse(id, error).await;
            }
        });
        Ok(())
    }

    /// Says what came of a piece of work, and goes on with it.
    async fn step(&mut self, step: Step) -> Result<(), End> {
        for reply in &step.replies {
            self.line.say(reply).await?;
        }
        if let Some(following) = step.following {
            self.work.push(Box::pin(Following::step(following)));
        }
        Ok(())
    }
}
