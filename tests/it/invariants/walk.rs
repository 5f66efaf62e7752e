//! Every history of a small queue, one command at a time: two workers, two jobs, one lease that runs out, one worker
//! that dies, one cancel, or instead of it one redrive. What must never happen is looked for at each of them.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use windlass::domain::{JobState, TRANSITIONS};

use super::command::{Answer, Cancel, Claim, Command, End, Item, Redrive, Reply, Verdict, When};
use super::model::{Model, ModelJob, step};

const WORKERS: usize = 2;
const JOBS: usize = 2;

/// How much may happen.
struct Setup {
    cap: Option<usize>,
    claims: usize,
    cancels: usize,
    redrives: usize,
    ends: &'static [End],
}

/// A job that is taken away, runs again elsewhere and fails there; and every way to end, and to come back.
const SETUPS: [Setup; 2] = [
    Setup { cap: None, claims: 3, cancels: 1, redrives: 0, ends: &[End::Succeed, End::Retry(When::Now)] },
    Setup { cap: Some(1), claims: 2, cancels: 1, redrives: 1, ends: &[End::Succeed, End::Retry(When::Now), End::Die] },
];

/// The model, what was handed out, and what may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    model: Model,
    /// Job, attempt and worker of every claim.
    handed: Vec<(usize, usize, usize)>,
    /// Attempts whose report was taken.
    reported: BTreeSet<(usize, usize)>,
    claims: usize,
    expiries: usize,
    crashes: usize,
    cancels: usize,
    redrives: usize,
}

type StepFn = fn(&mut Model, &Command) -> Result<Reply, String>;

/// Walks every history from an empty queue; the number of states, or the first thing that must not be.
fn walk(setup: &Setup, step: StepFn) -> Result<usize, String> {
    let mut model = Model { live: (0..WORKERS).collect(), ..Model::default() };
    model.caps.extend(setup.cap.map(|cap| (0, cap)));
    let Setup { cancels, redrives, .. } = *setup;
    let (handed, reported) = (Vec::new(), BTreeSet::new());
    let first = Node { model, handed, reported, claims: 0, expiries: 1, crashes: 1, cancels, redrives };
    let (mut seen, mut next) = (HashSet::from([digest(&first)]), VecDeque::from([first]));
    while let Some(node) = next.pop_front() {
        for command in commands(setup, &node) {
            let mut after = node.clone();
            let reply = step(&mut after.model, &command)?;
            account(&mut after, &command, &reply);
            judge(&node, &command, &reply, &after).map_err(|why| format!("{why}\n{node:#?}\n{command:?} {reply:?}"))?;
            if seen.insert(digest(&after)) {
                next.push_back(after);
            }
        }
    }
    Ok(seen.len())
}

/// Millions of states stay in memory as 64 bits each; two that share them by chance cost one of them its future.
fn digest(node: &Node) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    hasher.finish()
}

fn item(request: usize) -> Item {
    Item { ws: 0, request, kind: 0, other_body: false, run: When::Now, ends_soon: false }
}

fn commands(setup: &Setup, node: &Node) -> Vec<Command> {
    // Jobs and workers are alike: it is always the first of them that comes first, and that dies.
    let known = node.model.jobs.len();
    let mut all: Vec<Command> = (0..JOBS.min(known + 1)).map(|r| Command::Enqueue(vec![item(r)])).collect();
    for worker in 0..WORKERS {
        let mine = node.handed.iter().filter(|(_, _, holder)| *holder == worker);
        all.push(Command::Heartbeat { worker, leases: mine.map(|(job, attempt, _)| (*job, *attempt)).collect() });
        if node.claims < setup.claims {
            all.extend(claims(node, worker));
        }
    }
    if node.crashes > 0 {
        all.push(Command::WorkerGone(0));
    }
    for (job, attempt, worker) in &node.handed {
        for end in setup.ends {
            all.push(Command::Exchange { reports: vec![(*job, *attempt, *end)], claim: None });
            // With a claim for nothing, which does what is due.
            let claim = claim(node, *worker, 0, Vec::new());
            all.push(Command::Exchange { reports: vec![(*job, *attempt, *end)], claim: Some(claim) });
        }
    }
    for (job, now) in node.model.jobs.iter().enumerate() {
        if node.expiries > 0 && now.lease.is_some_and(|lease| !lease.over) {
            all.push(Command::LeaseEnds(job));
        }
        if node.cancels > 0 {
            all.push(Command::Cancel(job));
        }
        if node.redrives > 0 {
            all.push(Command::Redrive(job));
        }
    }
    all
}

fn claim(node: &Node, worker: usize, want: usize, taken: Vec<usize>) -> Claim {
    let (attempt, kinds) = (node.claims, vec![0]);
    Claim { worker, attempt, want, kinds, may_suspect: true, may_reap: true, brief: false, taken }
}

/// One claim for each choice that the store has: of those that the model takes.
fn claims(node: &Node, worker: usize) -> Vec<Command> {
    let choices = std::iter::once(Vec::new()).chain((0..node.model.jobs.len()).map(|job| vec![job]));
    let commands =
        choices.map(|taken| Command::Exchange { reports: Vec::new(), claim: Some(claim(node, worker, 1, taken)) });
    commands.filter(|command| step(&mut node.model.clone(), command).is_ok()).collect()
}

fn account(after: &mut Node, command: &Command, reply: &Reply) {
    match command {
        Command::Exchange { reports, claim } => {
            if let Reply::Reported(verdicts) = reply {
                let done = reports.iter().zip(verdicts).filter(|(_, verdict)| **verdict == Verdict::Done);
                after.reported.extend(done.map(|((job, attempt, _), _)| (*job, *attempt)));
            }
            if let Some(claim) = claim.as_ref().filter(|claim| !claim.taken.is_empty()) {
                after.claims += 1;
                after.handed.extend(claim.taken.iter().map(|job| (*job, claim.attempt, claim.worker)));
            }
        }
        Command::LeaseEnds(_) => after.expiries -= 1,
        Command::WorkerGone(_) => after.crashes -= 1,
        Command::Cancel(_) => after.cancels -= 1,
        Command::Redrive(_) => after.redrives -= 1,
        _ => {}
    }
}

/// What must hold of every command and of every state.
fn judge(before: &Node, command: &Command, reply: &Reply, after: &Node) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let model = &after.model;
    for (job, now) in model.jobs.iter().enumerate() {
        must((now.state == JobState::Running) == now.lease.is_some(), "a lease and a running job are one thing")?;
        must(now.crashes < 3 || now.state.is_terminal(), "the third crash is the end")?;
        let was = before.model.jobs.get(job);
        must(follows(was, now, command), "a change that is in no row of the table")?;
        let redriven = matches!(command, Command::Redrive(other) if *other == job);
        if let Some(was) = was.filter(|was| was.state.is_terminal() && !redriven) {
            must(was == now, "what has ended stays as it is")?;
        }
        let keyed = model.keys.get(&(now.item.ws, now.item.request));
        must(now.state.is_terminal() || keyed == Some(&job), "a live job has its key")?;
    }
    must(model.jobs.len() >= before.model.jobs.len() && model.jobs.len() <= JOBS, "one job for each request")?;
    let of = |name: &str| model.counters.get(name).copied().unwrap_or_default();
    let live = model.jobs.iter().filter(|job| !job.state.is_terminal()).count() as i64;
    let ended = of("succeeded") + of("dead") + of("cancelled") + of("expired");
    must(of("enqueue") + of("redriven") == live + ended, "what came in is there or has ended")?;
    must(model.caps.get(&0).is_none_or(|cap| model.running(0) <= *cap), "no more run than the cap allows")?;
    judge_reply(before, command, reply, after)
}

fn follows(was: Option<&ModelJob>, now: &ModelJob, command: &Command) -> bool {
    let from = was.map(|was| was.state);
    let legal = |from, to| TRANSITIONS.iter().any(|t| t.from == from && t.to == to);
    // A reaped or returned job may be claimed again by the same call.
    let twice = matches!(command, Command::Exchange { .. })
        && legal(from, JobState::Pending)
        && legal(Some(JobState::Pending), now.state);
    from == Some(now.state) || legal(from, now.state) || twice
}

fn judge_reply(before: &Node, command: &Command, reply: &Reply, after: &Node) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    match (command, reply) {
        (Command::Exchange { reports, claim }, Reply::Reported(verdicts)) => {
            for ((job, attempt, _), verdict) in reports.iter().zip(verdicts) {
                let (was, now) = (&before.model.jobs[*job], &after.model.jobs[*job]);
                let holds = was.lease.is_some_and(|lease| lease.attempt == *attempt);
                must((*verdict == Verdict::Done) == holds, "who has the lease, and only who has it, reports")?;
                let again = before.reported.contains(&(*job, *attempt));
                must(*verdict != Verdict::DoneBefore || again, "done before is what was done before")?;
                must(*verdict == Verdict::Done || claim.is_some() || was == now, "a late report changes nothing")?;
            }
            for job in claim.iter().flat_map(|claim| &claim.taken) {
                let was = before.model.jobs[*job].lease;
                let over = was.is_none_or(|lease| lease.over || reports.iter().any(|(own, _, _)| own == job));
                must(over, "no job is claimed while someone has its lease")?;
            }
            Ok(())
        }
        (Command::Heartbeat { leases, .. }, Reply::Held(held)) => {
            let revived = leases.iter().zip(held).any(|((job, attempt), held)| {
                *held != before.model.jobs[*job].lease.is_some_and(|lease| lease.attempt == *attempt)
            });
            must(!revived, "a heartbeat brings no lease back")
        }
        (Command::Enqueue(items), Reply::Enqueued(answers)) => {
            let known = before.model.keys.get(&(items[0].ws, items[0].request));
            must(matches!(answers[0], Answer::New(..)) == known.is_none(), "one job for each request")
        }
        (Command::Cancel(job), Reply::Cancelled(Cancel::Now)) => {
            must(after.model.jobs[*job].lease.is_none(), "a cancelled job has no lease")
        }
        (Command::Redrive(job), Reply::Redriven(Redrive::Now)) => {
            must(before.model.jobs[*job].state != JobState::Succeeded, "what succeeded never runs again")
        }
        _ => Ok(()),
    }
}

#[test]
fn no_history_of_a_small_queue_breaks_a_rule() {
    for setup in &SETUPS {
        let states = walk(setup, step).unwrap_or_else(|why| panic!("{why}"));
        assert!(states > 10_000, "only {states} states were seen");
    }
}

/// The walk is worth its time only if it finds what is wrong.
#[test]
fn the_walk_finds_a_queue_that_is_wrong() {
    let wrong: [(&str, StepFn); 4] = [
        ("a late report counts", |model, command| {
            if let Command::Exchange { reports, .. } = command
                && let Some((job, attempt, _)) = reports.first()
                && let Some(lease) = &mut model.jobs[*job].lease
            {
                lease.attempt = *attempt;
            }
            step(model, command)
        }),
        ("a cancelled job keeps its lease", |model, command| {
            let Command::Cancel(job) = command else { return step(model, command) };
            let lease = model.jobs[*job].lease;
            let reply = step(model, command);
            model.jobs[*job].lease = lease;
            reply
        }),
        ("a job is forgotten in a count", |model, command| {
            let reply = step(model, command);
            if let Command::Exchange { claim: Some(_), .. } = command {
                model.counters.remove("dead");
            }
            reply
        }),
        ("a redriven job has no key", |model, command| {
            let reply = step(model, command);
            if reply == Ok(Reply::Redriven(Redrive::Now)) {
                model.keys.clear();
            }
            reply
        }),
    ];
    for (what, step) in wrong {
        assert!(walk(&SETUPS[1], step).is_err(), "not found: {what}");
    }
}
