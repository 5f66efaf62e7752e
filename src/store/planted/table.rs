//! The bugs.

use super::{Patch, PlantedBug, Switch};

const fn script(name: &'static str, does: &'static str, patches: &'static [Patch]) -> PlantedBug {
    PlantedBug { name, does, patches, switch: None }
}

const fn with(name: &'static str, does: &'static str, switch: Switch, patches: &'static [Patch]) -> PlantedBug {
    PlantedBug { name, does, patches, switch: Some(switch) }
}

const fn patch(of: &'static str, find: &'static str, replace: &'static str) -> Patch {
    Patch { of, find, replace }
}

/// Every bug, by name.
pub const BUGS: &[PlantedBug] = &[
    script(
        "ack_without_attempt_check",
        "a report counts when its job runs, whichever attempt has the lease",
        &[patch("finish_batch", "= token == string.sub(members[i], 24)", "= token ~= nil")],
    ),
    script(
        "backoff_ignored",
        "a retry is in line at once",
        &[patch("finish", "local due = now + tonumber(delay)", "delay = '0'\nlocal due = now")],
    ),
    with("blind_resend", "a webhook whose answer is missing is sent again at once", Switch::BlindResend, &[]),
    script(
        "cancel_not_fenced",
        "a cancelled attempt keeps its lease, so that its late success counts",
        &[patch("withdraw", "redis.call('ZREM', running_key, member)", "")],
    ),
    script(
        "cap_not_checked",
        "a workspace runs two jobs more than its cap",
        &[patch("line", "slots[ws] >= limits[ws].cap then", "slots[ws] >= limits[ws].cap + 2 then")],
    ),
    script(
        "cap_slot_leaked",
        "a lease that runs out keeps its slot of the workspace",
        &[patch("reap", "free_slot(h.ws, members[i])", "")],
    ),
    script(
        "crash_not_counted",
        "a job that kills its worker is tried for ever",
        &[patch("reap", "e.crashes = e.crashes + 1", "e.crashes = e.crashes")],
    ),
    with("cross_workspace_read", "a job is shown to whoever knows its id", Switch::CrossWorkspaceRead, &[]),
    script(
        "dead_letter_lost",
        "a job that is given up on is in no list",
        &[patch("aside", "redis.call('ZADD', qkey('dead'), now_text, id)", "")],
    ),
    script(
        "depth_drift",
        "the depth list keeps one entry too many",
        &[patch("settle", "if have > want then", "if have > want + 1 then")],
    ),
    script(
        "drain_drops",
        "a job that a stopping worker gives back is in no line",
        &[patch(
            "finish",
            "finish_as.u = finish_as.r",
            "finish_as.u = function(member, id, attempt, key, delay, two)\n\
             redis.call('HSET', attempts_key, id, waiting_entry('w', two, ''))\nend",
        )],
    ),
    with("effect_guard_off", "an effect begins whatever an earlier attempt did", Switch::EffectGuardOff, &[]),
    script(
        "heartbeat_revives_lease",
        "a heartbeat brings a lease back that has ended",
        &[
            patch("heartbeat", "score and '1' or '0'", "'1'"),
            patch("heartbeat", "if score then", "if true then"),
            patch(
                "heartbeat",
                "redis.call('ZADD', key, 'XX', unpack(renewed))",
                "redis.call('ZADD', key, unpack(renewed))",
            ),
        ],
    ),
    script(
        "key_ttl_shorter_than_job",
        "an idempotency key lives five seconds, whatever its job does",
        &[patch("enqueue", "int(IN_LINE / 1000 + outlives)", "'5'")],
    ),
    with(
        "non_atomic_counters",
        "enqueues are counted by a read and a write of their own",
        Switch::CountsApart,
        &[patch("enqueue", "count('enqueue', n)", "")],
    ),
    script(
        "orphans_forgotten",
        "no claim looks for leases that ran out",
        &[patch("reap", "{ running_key, may_reap, reap }", "{ running_key, false, reap }")],
    ),
    script(
        "parked_job_forgotten",
        "of several parked jobs that come back, one does not",
        &[patch(
            "park",
            "redis.call('ZADD', qkey('order:' .. band), unpack(scored))",
            "if #scored > 2 then\nscored[#scored], scored[#scored - 1] = nil, nil\nend\n\
             redis.call('ZADD', qkey('order:' .. band), unpack(scored))",
        )],
    ),
    script(
        "reaper_before_lease_end",
        "a lease ends after a fifth of the time that its holder was told",
        &[patch("serve", "deadline = int(now + tonumber(ARGV[8]))", "deadline = int(now + tonumber(ARGV[8]) / 5)")],
    ),
    script(
        "redrive_without_key",
        "a redriven job has no idempotency key",
        &[
            patch("revive", "redis.call('SET', key, id .. print, 'NX', 'EX', ttl)", "(redis.call('EXISTS', key) == 0)"),
            patch("revive", "redis.call('EXPIRE', key, ttl)", "redis.call('DEL', key)"),
        ],
    ),
    script(
        "requeue_without_recheck",
        "the reaper notes the leases that ran out, and takes them three seconds later, whatever happened meanwhile",
        &[patch(
            "reap",
            "local ids, records, entries, members = take_due(running_key)",
            "local seen, ids, members = base .. ':reap:seen', {}, {}\n\
             for _, m in ipairs(redis.call('ZRANGEBYSCORE', seen, '-inf', int(now - 3000), 'LIMIT', '0', '100')) do\n\
             members[#members + 1], ids[#ids + 1] = m, string.sub(m, 1, 22)\nend\n\
             for _, m in ipairs(redis.call('ZRANGEBYSCORE', running_key, '-inf', now_text, 'LIMIT', '0', '100')) do\n\
             redis.call('ZADD', seen, 'NX', now_text, m)\nend\n\
             if #ids == 0 then\nreturn\nend\n\
             redis.call('ZREM', seen, unpack(members))\nredis.call('ZREM', running_key, unpack(members))\n\
             local records = redis.call('HMGET', jobs_key, unpack(ids))\n\
             local entries = redis.call('HMGET', attempts_key, unpack(ids))",
        )],
    ),
    script(
        "retry_resets_attempts",
        "a retry starts the count of attempts anew",
        &[patch(
            "finish",
            "redis.call('HSET', attempts_key, id, waiting_entry('w', two, int(due)))",
            "redis.call('HSET', attempts_key, id, (string.gsub(waiting_entry('w', two, int(due)), '^w\\t%d+', 'w\\t0')))",
        )],
    ),
    script(
        "run_at_ignored",
        "a job whose time comes within three seconds is in line at once",
        &[patch("enqueue", "tonumber(run_at) > now then", "tonumber(run_at) > now + 3000 then")],
    ),
    script(
        "scheduled_promoted_twice",
        "what enters the line at its time enters it once more a moment later",
        &[patch(
            "due",
            "local ids, records, entries = take_due(scheduled_key)",
            "local ids, records, entries = take_due(scheduled_key)\n\
             if records[1] and string.sub(entries[1] or 'w', 1, 1) == 'w' then\n\
             redis.call('ZADD', scheduled_key, int(now + 250), ids[1])\nend",
        )],
    ),
    script(
        "terminal_overwritten",
        "a late report counts when its job has ended",
        &[patch(
            "finish_batch",
            "= token == string.sub(members[i], 24)",
            "= not text or token == string.sub(members[i], 24)",
        )],
    ),
    with(
        "two_step_idempotency",
        "the idempotency key is taken by a call of its own, before the job is written",
        Switch::TwoStepIdempotency,
        &[patch(
            "enqueue",
            "redis.call('SET', ARGV[p], value, 'NX', 'EX', ttl)",
            "redis.call('GET', ARGV[p]) == value and redis.call('HEXISTS', jobs_key, string.sub(value, 1, 22)) == 0",
        )],
    ),
    with("worker_clock_for_leases", "a lease ends by the clock of its worker", Switch::WorkerClock, &[]),
];
