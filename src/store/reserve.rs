//! Verb `reserve`: a call to a language model takes its share of every limit, or books one.

use fred::prelude::Value;

use crate::domain::Timestamp;
use crate::domain::llm::{Block, BlockKind, Candidate, Demand, MOST, Quota, Reserved};

use super::reply::{Reply, corrupt};
use super::{Shards, Store, StoreError};

/// Candidates that one call looks at; those behind are left out. Each costs the script some ten reads.
pub const MOST_CANDIDATES: usize = 32;

/// An amount as scripts take it.
pub(super) fn amount(n: u64) -> String {
    n.min(MOST).to_string()
}

/// Requests, tokens, calls at once, nano-USD a day; empty for no limit.
pub(super) fn quota(quota: &Quota) -> [String; 4] {
    let Quota { requests_per_minute, tokens_per_minute, concurrency, nano_usd_per_day } = quota;
    [requests_per_minute, tokens_per_minute, concurrency, nano_usd_per_day].map(|n| n.map(amount).unwrap_or_default())
}

/// Names are parts of records and keys, where tabs part them.
pub(super) fn plain(text: &str) -> Result<&str, StoreError> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(corrupt("a name of a model or a call that is empty or has control characters"));
    }
    Ok(text)
}

impl Store {
    /// Takes a call's share of all limits at once, or says when to ask again. A repeat of a call that was granted is
    /// granted again and counted once; another call of the same job ends the earlier one as that of a dead worker.
    ///
    /// # Errors
    /// `Unknown`: repeat with the same `call`. `Corrupt` for a demand without candidates, or with control characters
    /// in the name of a model or of the call.
    pub async fn reserve(&self, demand: &Demand) -> Result<Reserved, StoreError> {
        if demand.candidates.is_empty() {
            return Err(corrupt("a demand without candidates"));
        }
        let hold = u64::try_from(demand.hold.as_millis()).unwrap_or(u64::MAX);
        let mut args: Vec<Value> = vec![
            "-".into(),
            demand.job.to_string().into(),
            plain(&demand.call)?.into(),
            demand.workspace.as_str().into(),
            amount(hold).into(),
        ];
        args.extend(quota(&demand.workspace_default).map(Value::from));
        for candidate in demand.candidates.iter().take(MOST_CANDIDATES) {
            push(&mut args, candidate)?;
        }
        let value = self.run(&self.inner.scripts.reserve, args).await?;
        self.answer(Reply::array(value)?)
    }

    fn answer(&self, mut reply: Reply) -> Result<Reserved, StoreError> {
        self.saw_time(&reply.text()?)?;
        match reply.text()?.as_str() {
            "granted" => {
                let candidate = usize::try_from(number(&reply.text()?)?).unwrap_or_default();
                Ok(Reserved::Granted { candidate, probe: reply.text()? == "1" })
            }
            "later" => {
                let at = Timestamp::from_unix_ms(number(&reply.text()?)?);
                Ok(Reserved::Later { at, block: block(&mut reply)? })
            }
            "never" => Ok(Reserved::Never { block: block(&mut reply)? }),
            _ => Err(corrupt("an answer to a demand")),
        }
    }
}

impl Shards {
    /// See [`Store::reserve`]; limits hold over all shards, so the first has them.
    ///
    /// # Errors
    /// See [`Store::reserve`].
    pub async fn reserve(&self, demand: &Demand) -> Result<Reserved, StoreError> {
        self.first().reserve(demand).await
    }
}

fn push(args: &mut Vec<Value>, candidate: &Candidate) -> Result<(), StoreError> {
    args.push(candidate.target.provider.as_str().into());
    args.push(plain(&candidate.target.model)?.into());
    args.push(amount(candidate.tokens).into());
    args.push(amount(candidate.nano_usd).into());
    args.extend(quota(&candidate.provider).map(Value::from));
    args.extend(quota(&candidate.model).map(Value::from));
    Ok(())
}

fn number(text: &str) -> Result<i64, StoreError> {
    text.parse().map_err(|_| corrupt("a number in an answer to a demand"))
}

fn block(reply: &mut Reply) -> Result<Block, StoreError> {
    let (whose, word) = (reply.text()?, reply.text()?);
    let kind = BlockKind::ALL.into_iter().find(|(_, name)| *name == word);
    Ok(Block { whose, kind: kind.ok_or_else(|| corrupt("a kind of limit"))?.0 })
}
