//! Every key that Rust names itself. Scripts derive theirs from the same base (`lua/lib/base.lua`).

/// Builds key names under one base (`ai`, or `{ai:i}` for shard i of a cluster).
#[derive(Clone, Debug)]
pub(super) struct Keys {
    base: String,
}

impl Keys {
    pub(super) fn new(base: &str) -> Self {
        Self { base: base.to_owned() }
    }

    /// Hash: id → record of a live or dead job. KEYS[1] of every script.
    pub(super) fn jobs(&self) -> String {
        format!("{}:jobs", self.base)
    }

    /// Hash: id → what changes while a job lives.
    pub(super) fn attempts(&self) -> String {
        format!("{}:attempts", self.base)
    }

    /// Sorted set: leases of a queue, by their end.
    pub(super) fn running(&self, queue: &str) -> String {
        self.queue("running", queue)
    }

    /// String: job id + body fingerprint.
    pub(super) fn idempotency(&self, workspace: &str, request_id: &str) -> String {
        format!("{}:idempotency:{workspace}:{request_id}", self.base)
    }

    /// List: the bell on which idle workers of a queue block.
    pub(super) fn wake(&self, queue: &str) -> String {
        self.queue("wake", queue)
    }

    /// List: messages to one worker process.
    pub(super) fn inbox(&self, worker: &str) -> String {
        format!("{}:worker:{worker}:inbox", self.base)
    }

    /// Set: names of all queues.
    pub(super) fn queues(&self) -> String {
        format!("{}:queues", self.base)
    }

    /// Stream: lifecycle events.
    pub(super) fn events(&self) -> String {
        format!("{}:events", self.base)
    }

    /// Stream: the jobs that got text, one entry per call.
    pub(super) fn streamed(&self) -> String {
        format!("{}:streamed", self.base)
    }

    /// Stream: the text of a job's streaming answer.
    pub(super) fn stream(&self, job: &str) -> String {
        format!("{}:job:{job}:stream", self.base)
    }

    /// Hash: groups of dead letters.
    pub(super) fn dead_groups(&self) -> String {
        format!("{}:dead:groups", self.base)
    }

    /// Hash: workspace → weight and cap.
    pub(super) fn limits(&self) -> String {
        format!("{}:limits", self.base)
    }

    /// Hash: workspace → its own limits of calls to language models.
    pub(super) fn llm_limits(&self) -> String {
        self.llm("limits")
    }

    /// Hash: requests and tokens of any minute of a scope (`p:<provider>`, `m:<provider>/<model>`).
    pub(super) fn llm_rate(&self, scope: &str) -> String {
        self.llm(&format!("rate:{scope}"))
    }

    /// Sorted set: calls under way in a scope, by the end of their hold.
    pub(super) fn llm_calls(&self, scope: &str) -> String {
        self.llm(&format!("calls:{scope}"))
    }

    /// Hash: money spent and reserved in a scope on a UTC day.
    pub(super) fn llm_money(&self, day: i64, scope: &str) -> String {
        self.llm(&format!("money:{day}:{scope}"))
    }

    /// Hash: the breaker of a target (`<provider>/<model>`).
    pub(super) fn llm_breaker(&self, target: &str) -> String {
        self.llm(&format!("breaker:{target}"))
    }

    /// Hash: the ledger of a UTC day.
    pub(super) fn llm_usage(&self, day: i64) -> String {
        self.llm(&format!("usage:{day}"))
    }

    /// String: who has the turn to probe a provider.
    pub(super) fn llm_probe(&self, provider: &str) -> String {
        self.llm(&format!("probe:{provider}"))
    }

    /// Hash: what the last probe of a provider found.
    pub(super) fn llm_health(&self, provider: &str) -> String {
        self.llm(&format!("health:{provider}"))
    }

    /// Any key of the verbs about language models; scripts derive them from the base.
    fn llm(&self, name: &str) -> String {
        format!("{}:llm:{name}", self.base)
    }

    /// Sorted set: held jobs of a queue, since when.
    pub(super) fn held(&self, queue: &str) -> String {
        self.queue("held", queue)
    }

    /// Hash: how many jobs of a queue are parked behind what.
    pub(super) fn parked(&self, queue: &str) -> String {
        self.queue("parked", queue)
    }

    /// Hash: id → record of a bulk operation.
    pub(super) fn operations(&self) -> String {
        format!("{}:operations", self.base)
    }

    /// Set: bulk operations that run.
    pub(super) fn operations_running(&self) -> String {
        format!("{}:operations:running", self.base)
    }

    /// Hash: how far a bulk operation is on this shard, and what it did there.
    pub(super) fn operation(&self, id: &str) -> String {
        format!("{}:operation:{id}", self.base)
    }

    /// Hash: pauses and drain of a queue.
    pub(super) fn blocked(&self, queue: &str) -> String {
        self.queue("blocked", queue)
    }

    /// Hash: what is remembered of a queue's pace.
    pub(super) fn pace(&self, queue: &str) -> String {
        self.queue("pace", queue)
    }

    /// Hash: SHA-256 of an API key → its record.
    pub(super) fn api_keys(&self) -> String {
        format!("{}:keys", self.base)
    }

    /// Hash: `<workspace>/<name>` → revision and sealed record of a credential.
    pub(super) fn credentials(&self) -> String {
        format!("{}:credentials", self.base)
    }

    /// Set: names of a workspace's credentials.
    pub(super) fn credentials_of(&self, workspace: &str) -> String {
        format!("{}:credentials:{workspace}", self.base)
    }

    /// Set: fields of the credentials that someone has to renew.
    pub(super) fn credentials_in_doubt(&self) -> String {
        format!("{}:credential:reauth", self.base)
    }

    /// String: who has the turn to renew a credential.
    pub(super) fn credential_turn(&self, field: &str) -> String {
        format!("{}:credential:turn:{field}", self.base)
    }

    /// String: a demand to check a credential, taken on or answered.
    pub(super) fn credential_check(&self, demand: &str) -> String {
        format!("{}:credential:check:{demand}", self.base)
    }

    /// Hash: revision, and the rules for actions by workspace.
    pub(super) fn policy(&self) -> String {
        format!("{}:policy", self.base)
    }

    /// String: layout version and number of shards.
    pub(super) fn layout(&self) -> String {
        format!("{}:layout", self.base)
    }

    /// String: changes when Redis lost its state.
    pub(super) fn epoch(&self) -> String {
        format!("{}:epoch", self.base)
    }

    fn queue(&self, name: &str, queue: &str) -> String {
        match queue {
            "default" => format!("{}:queue:{name}", self.base),
            _ => format!("{}:queue:{name}:{queue}", self.base),
        }
    }
}
