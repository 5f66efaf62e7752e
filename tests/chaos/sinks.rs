//! Where effects end: a webhook receiver and a fake model in one. What they write down is the truth about effects.
//!
//! The windows around an effect are made from here: an armed fault strikes the worker whose request comes next.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass::engine::tasks;

use super::fleet::{Fleet, Slot};
use super::history::{History, Stream};
use super::pace;
use super::proxy::Mode;
use super::redis::Pair;

/// What strikes around an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The worker dies before the effect.
    KillBefore,
    /// It dies when the effect has happened and it has not heard of that.
    KillAfter,
    /// It dies when it has heard of the effect and Redis has not.
    KillBeforeAck,
    /// It is frozen inside the effect for longer than its lease.
    FreezeInside(u64),
    /// The effect is refused with this status; nothing happened.
    Refuse(u16),
    /// The effect happens and its answer is cut.
    Cut,
}

impl Strike {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill_before",
            Self::KillAfter => "kill_after",
            Self::KillBeforeAck => "kill_before_ack",
            Self::FreezeInside(_) => "freeze_inside",
            Self::Refuse(_) => "refuse",
            Self::Cut => "cut",
        }
    }
}

/// The receiver.
pub(crate) struct Sinks {
    pub(crate) address: SocketAddr,
    history: Arc<History>,
    pair: Arc<Pair>,
    fleet: OnceLock<Arc<Fleet>>,
    armed: Mutex<VecDeque<Strike>>,
    seen: Mutex<HashMap<String, u64>>,
}

/// One request.
struct Effect {
    kind: &'static str,
    key: String,
    /// From the request, where it says.
    attempt: Option<u64>,
    text: String,
}

impl Sinks {
    pub(crate) async fn start(history: &Arc<History>, pair: &Arc<Pair>) -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sinks = Arc::new(Self {
            address,
            history: Arc::clone(history),
            pair: Arc::clone(pair),
            fleet: OnceLock::new(),
            armed: Mutex::default(),
            seen: Mutex::default(),
        });
        let own = Arc::clone(&sinks);
        tasks::spawn("sinks", async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => drop(tasks::spawn("effect", Arc::clone(&own).handle(stream))),
                    Err(_) => pace::pause_ms(20).await,
                }
            }
        });
        Ok(sinks)
    }

    /// Who can be struck.
    pub(crate) fn meet(&self, fleet: &Arc<Fleet>) {
        let _ = self.fleet.set(Arc::clone(fleet));
    }

    /// Strikes the next effect.
    pub(crate) fn arm(&self, strike: Strike) {
        self.armed.lock().unwrap().push_back(strike);
    }

    /// Forgets what has not struck; how many that was.
    pub(crate) fn disarm(&self) -> usize {
        std::mem::take(&mut *self.armed.lock().unwrap()).len()
    }

    pub(crate) fn armed(&self) -> usize {
        self.armed.lock().unwrap().len()
    }

    async fn handle(self: Arc<Self>, mut stream: TcpStream) -> Option<()> {
        let (head, body) = request(&mut stream).await?;
        let effect = effect_of(&head, &body)?;
        // Redis may be struck too; then it does not say whose attempt this is.
        let entry = tokio::time::timeout(Duration::from_millis(300), async {
            Some(self.pair.primary().ask(&["HGET", "ai:attempts", &effect.key]).await?.text())
        });
        let entry = entry.await.ok().flatten().unwrap_or_default();
        let current: Vec<&str> = entry.lines().next().unwrap_or_default().split('\t').collect();
        let worker = current.get(4).copied().unwrap_or_default();
        let slot = self.fleet.get().and_then(|fleet| fleet.of_worker(worker));
        let strike = slot.as_ref().and_then(|_| self.armed.lock().unwrap().pop_front());
        let happens = !matches!(strike, Some(Strike::KillBefore | Strike::Refuse(_)));
        let answered = match strike {
            None | Some(Strike::KillBeforeAck | Strike::FreezeInside(_)) => json!(200),
            Some(Strike::Refuse(status)) => json!(status),
            Some(Strike::KillBefore | Strike::KillAfter | Strike::Cut) => json!("cut"),
        };
        let n = happens.then(|| {
            let mut seen = self.seen.lock().unwrap();
            let n = seen.entry(effect.key.clone()).or_default();
            *n += 1;
            *n
        });
        let line = json!({"kind": effect.kind, "key": effect.key, "job": effect.key, "attempt": effect.attempt,
            "n": n, "effect": happens, "answered": answered, "fault": strike.map(Strike::name), "worker": worker,
            "current": {"state": current.first(), "attempt": current.get(1), "token": current.get(5)}});
        self.history.line(Stream::Sink, line);
        self.finish(&mut stream, &effect, strike, slot).await
    }

    async fn finish(
        &self,
        stream: &mut TcpStream,
        effect: &Effect,
        strike: Option<Strike>,
        slot: Option<Arc<Slot>>,
    ) -> Option<()> {
        let answer = |status: u64| response(effect, status);
        let Some((strike, slot)) = strike.zip(slot) else {
            return stream.write_all(answer(200).as_bytes()).await.ok();
        };
        match strike {
            Strike::KillBefore | Strike::KillAfter => slot.signal(Signal::SIGKILL),
            Strike::Cut => {}
            Strike::Refuse(status) => stream.write_all(answer(status.into()).as_bytes()).await.ok()?,
            Strike::KillBeforeAck => {
                slot.redis.set(Mode::Blackhole);
                let _ = stream.write_all(answer(200).as_bytes()).await;
                pace::pause_ms(150).await;
                slot.signal(Signal::SIGKILL);
                slot.redis.set(Mode::Forward);
                slot.redis.reset();
            }
            Strike::FreezeInside(ms) => {
                slot.signal(Signal::SIGSTOP);
                pace::pause_ms(ms).await;
                slot.signal(Signal::SIGCONT);
                let _ = stream.write_all(answer(200).as_bytes()).await;
            }
        }
        let _ = stream.set_zero_linger();
        Some(())
    }
}

async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some((head, String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).into_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn effect_of(head: &str, body: &str) -> Option<Effect> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(id) = header(head, "webhook-id") {
        return Some(Effect { kind: "webhook", key: id.to_owned(), attempt: None, text: body.to_string() });
    }
    let (job, attempt) = header(head, "x-client-request-id")?.rsplit_once('-')?;
    let text = body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    Some(Effect { kind: "llm", key: job.to_owned(), attempt: attempt.parse().ok(), text })
}

fn response(effect: &Effect, status: u64) -> String {
    let body = if effect.kind == "llm" && status == 200 {
        json!({"id": "chatcmpl-chaos", "object": "chat.completion", "created": 0, "model": "fake-model",
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": effect.text}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
    } else {
        json!({"received": effect.text})
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close");
    format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
