//! Strict durability: an answer that is a promise waits until the replicas have what it promises.
//!
//! Script, a write behind it and `WAIT` go out in one piece on one connection, so a group of jobs waits
//! once. `WAIT` holds up its connection, so these are connections of their own: claims and heartbeats
//! do not queue behind it.

use std::sync::atomic::{AtomicU64, Ordering};

use fred::error::{Error as FredError, ErrorKind};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::prelude::Value;
use fred::types::CustomCommand;

use super::link::{Link, classify};
use super::mended::Mended;
use super::reply::{int, text};
use super::route::Route;
use super::scripts::Script;
use super::{StoreError, StoreOptions, Strict};

/// What became of a call: its reply, and whether that is durable.
pub(super) type Outcome = (Value, Result<(), StoreError>);

/// The connections on which answers wait for replicas.
#[derive(Debug)]
pub(super) struct Lane {
    route: Route,
    strict: Strict,
    calls: AtomicU64,
}

/// What these options wait for; `None` when no replica has to be waited for.
pub(super) fn waited_for(options: &StoreOptions) -> Option<Strict> {
    options.strict.filter(|strict| strict.replicas > 0)
}

impl Lane {
    /// A lane over connections whose commands may wait.
    pub(super) fn new(route: Route, strict: Strict) -> Self {
        Self { route, strict, calls: AtomicU64::new(0) }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// Runs a verb and waits for the replicas.
    pub(super) async fn run(
        &self,
        script: &Script,
        confirm: &Script,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Outcome, StoreError> {
        let link = self.route.link().await?;
        match self.run_on(&link, script, confirm, key, args.clone()).await {
            Err(error) => {
                let link = self.route.follow(&error, &link).await?;
                self.run_on(&link, script, confirm, key, args).await
            }
            done => done,
        }
    }

    async fn run_on(
        &self,
        link: &Link,
        script: &Script,
        confirm: &Script,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Outcome, StoreError> {
        let client = link.client()?;
        let started = crate::clock::now();
        let first = self.send(client, Some((script, args.clone())), confirm, key).await;
        let outcome = match first {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                let _: Value = client.script_load(script.text.as_str()).await.map_err(classify)?;
                metrics::counter!(crate::metrics::REDIS_RESENT.name).increment(1);
                self.send(client, Some((script, args)), confirm, key).await
            }
            other => other,
        };
        metrics::histogram!(crate::metrics::REDIS_SCRIPT.name, "script" => script.name)
            .record(started.elapsed().as_secs_f64());
        link.mend(client, started, outcome.as_ref().err());
        outcome.map_err(classify)
    }

    /// Waits for the replicas alone.
    pub(super) async fn confirm(&self, confirm: &Script, key: &str) -> Result<(), StoreError> {
        let link = self.route.link().await?;
        let (client, asked) = (link.client()?, crate::clock::now());
        let outcome = self.send(client, None, confirm, key).await;
        link.mend(client, asked, outcome.as_ref().err());
        outcome.map_err(classify)?.1
    }

    /// The error is that of the verb, or of the whole exchange.
    async fn send(
        &self,
        client: &Mended,
        verb: Option<(&Script, Vec<Value>)>,
        confirm: &Script,
        key: &str,
    ) -> Result<Outcome, FredError> {
        // A connection that breaks may be mended between two commands, and lead to another server. The
        // name shows that the first and the last went over one, and so did those between them.
        let name = format!("wl-{}", self.calls.fetch_add(1, Ordering::Relaxed));
        let plain = |command: &'static str| CustomCommand::new_static(command, key, false);
        let (replicas, wait) = (self.strict.replicas.to_string(), self.strict.wait.as_millis().to_string());
        let pipeline = client.pipeline();
        let _: Value = pipeline.custom(plain("CLIENT"), vec!["SETNAME", name.as_str()]).await?;
        let has_verb = verb.is_some();
        if let Some((script, args)) = verb {
            let mut all: Vec<Value> = vec![script.sha.as_str().into(), "1".into(), key.into()];
            all.extend(args);
            let _: Value = pipeline.custom(plain("EVALSHA"), all).await?;
        }
        let _: Value = pipeline.custom(plain("EVAL"), vec![confirm.text.as_str(), "1", key]).await?;
        let _: Value = pipeline.custom(plain("WAIT"), vec![replicas, wait]).await?;
        let _: Value = pipeline.custom(plain("CLIENT"), vec!["GETNAME"]).await?;
        let mut replies = pipeline.try_all::<Value>().await.into_iter();
        let mut next = || replies.next().unwrap_or_else(|| Err(FredError::new(ErrorKind::Canceled, "no reply")));
        next()?;
        let value = if has_verb { next()? } else { Value::Null };
        let durable = self.judge(&name, [next(), next(), next()]);
        Ok((value, durable))
    }

    /// Reads what followed the verb: the write behind it, the replicas that have it, the name.
    fn judge(&self, name: &str, replies: [Result<Value, FredError>; 3]) -> Result<(), StoreError> {
        let doubt = |why: &str| StoreError::NotDurable(why.to_owned());
        let [written, acknowledged, named] = replies.map(|reply| reply.map_err(|error| doubt(error.details())));
        written?;
        let acknowledged = int(&acknowledged?)?;
        if text(named?)? != name {
            return Err(doubt("the connection changed before the replicas answered"));
        }
        if acknowledged < i64::from(self.strict.replicas) {
            let wanted = self.strict.replicas;
            return Err(StoreError::NotDurable(format!("{acknowledged} of {wanted} replicas have it")));
        }
        Ok(())
    }
}
