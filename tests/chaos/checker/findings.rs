//! Violations: their names, and what was found.

use std::collections::BTreeMap;

/// One breach of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// The class, one of [`CLASSES`].
    pub(crate) name: &'static str,
    /// The job, where one is to blame.
    pub(crate) job: Option<String>,
    /// When, in unix microseconds; 0 when it is about the end or the whole.
    pub(crate) t: u64,
    /// What was seen and what was expected.
    pub(crate) detail: String,
}

/// Every class with what it means. The names are stable: the table of planted bugs and the tests go by them.
pub(crate) const CLASSES: &[(&str, &str)] = &[
    ("acked_job_lost", "an acknowledged job is nowhere, and no declared loss explains it"),
    ("job_vanished", "a job that the log knows is nowhere at the end"),
    ("two_jobs_for_key", "one (workspace, client_request_id) had two jobs in one life"),
    ("job_shared_by_keys", "one job answered two different client_request_ids"),
    ("other_body_accepted", "a repeat with another body was accepted"),
    ("lease_overlap", "an attempt was claimed while another held the lease"),
    ("stale_write", "an attempt that did not hold the lease wrote"),
    ("illegal_transition", "a change of state that the life of a job does not have"),
    ("terminal_not_final", "something happened to a job after its end without a redrive"),
    ("attempt_number", "an attempt count moved in another way than the rules say"),
    ("attempts_over_max", "more charged attempts than the job may have"),
    ("poison_rule", "crashes and the end of a job do not fit together"),
    ("ran_before_due", "a job entered the line before its run_at"),
    ("backoff_skipped", "failed attempts are retried without a wait"),
    ("retry_too_late", "a retry waited longer than the backoff allows"),
    ("expired_job_ran", "an attempt began after the job's time in line"),
    ("expired_early", "a job expired before its time"),
    ("transition_without_invoke", "a change that nobody asked for"),
    ("failed_op_took_effect", "an operation that was answered as not done was done"),
    ("wrong_end", "a job succeeded that must fail, or died that must succeed"),
    ("cancel_lost", "an acknowledged cancel is not in the log"),
    ("effect_of_cancelled", "an effect of a job that was cancelled before its first attempt"),
    ("effect_after_end", "an effect began long after its job had ended"),
    ("effect_resent", "more effects than attempts that can have caused them"),
    ("effect_missing", "a job succeeded without its effect"),
    ("cap_exceeded", "more attempts of a capped workspace ran than allowed"),
    ("slots_wrong", "the slots of a capped workspace are not its leases"),
    ("foreign_access", "a workspace got at another workspace's job"),
    ("foreign_canary", "a reply showed another workspace's data"),
    ("depth_drift", "the depth list is not order plus parked"),
    ("parked_drift", "the total of parked jobs is not their sum"),
    ("sum_not_conserved", "what came in is not what is there plus what ended"),
    ("recount_differs", "a counter or a gauge is not what the log adds up to"),
    ("lease_deadline", "a lease ends at a time that Redis' clock cannot have given it"),
    ("orphan_late", "the lease of a dead worker was not taken back in time"),
    ("not_terminal", "a job had not ended when all was quiet"),
    ("key_gone", "the idempotency key of a job is gone or is another's before its time"),
    ("key_ttl", "an idempotency key lives for ever, or shorter than its job"),
    ("key_leaked", "something in Redis belongs to nobody"),
    ("dump_disagrees", "the final dump and the log tell different things of a job"),
    ("view_disagrees", "the API and the final dump tell different things of a job"),
    ("slow_recovery", "throughput did not come back after the faults had ended"),
    ("loss_not_detected", "the engine did not notice that Redis had lost state"),
    ("log_incomplete", "the transition log has gaps: the run proves nothing"),
    ("history_unreadable", "the folder is not a history"),
];

/// Kept in full of each class; the rest is counted.
const KEPT: usize = 20;

/// What was found so far.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) kept: Vec<Violation>,
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Findings {
    pub(super) fn add(&mut self, name: &'static str, t: u64, job: Option<String>, detail: impl Into<String>) {
        debug_assert!(CLASSES.iter().any(|(known, _)| *known == name), "{name} is no class");
        let count = self.counts.entry(name).or_default();
        *count += 1;
        if *count <= KEPT {
            self.kept.push(Violation { name, job, t, detail: detail.into() });
        }
    }

    /// Adds what another pass over more of the same found, without what is known.
    pub(super) fn merge(&mut self, other: Self) {
        let known = |v: &Violation, kept: &[Violation]| {
            kept.iter().any(|k| (k.name, &k.job, k.t, &k.detail) == (v.name, &v.job, v.t, &v.detail))
        };
        for violation in other.kept {
            if !known(&violation, &self.kept) {
                self.kept.push(violation);
            }
        }
        for (name, count) in other.counts {
            let most = self.counts.entry(name).or_default();
            *most = count.max(*most);
        }
    }
}
