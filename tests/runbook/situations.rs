//! The situations that blocks are for, provoked for real: `<!-- with: NAME -->`.
//!
//! Each is entered before the first block that names it, and left after the last: entering shows that the symptom of
//! the text is there, leaving that what the text advises has mended it.

use crate::stack::Stack;
use crate::support::processes::wait_for;

/// A situation.
#[derive(Clone, Copy)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) enter: fn(&mut Stack),
    pub(crate) leave: fn(&mut Stack),
}

/// All of them.
pub(crate) const SITUATIONS: &[Situation] = &[
    Situation { name: "every worker dead", enter: kill_every_worker, leave: start_workers_again },
    Situation { name: "a paused queue", enter: pause_the_queue, leave: see_the_queue_go_on },
    Situation { name: "Redis stopped", enter: stop_redis, leave: start_redis_again },
    Situation { name: "Redis frozen", enter: freeze_redis, leave: thaw_redis },
    Situation { name: "a full Redis", enter: fill_redis, leave: see_room_again },
    Situation { name: "an evicting Redis", enter: let_redis_evict, leave: see_redis_keep },
    Situation { name: "one request sent fifty times", enter: send_one_request_fifty_times, leave: see_one_run },
    Situation { name: "a provider that fails", enter: break_the_provider, leave: see_the_provider_called },
    Situation { name: "a dead job", enter: name_the_dead_job, leave: see_it_run_again },
    Situation { name: "a held job", enter: name_the_held_job, leave: |_| {} },
    Situation { name: "the new password everywhere", enter: Stack::use_new_password, leave: see_the_old_one_refused },
    Situation { name: "two keys of credentials", enter: go_to_another_key, leave: see_the_old_key_gone },
];

/// The situation of this name.
pub(crate) fn named(name: &str) -> Option<Situation> {
    SITUATIONS.iter().copied().find(|situation| situation.name == name)
}

/// The status of a submission, and the code of its problem.
const SUBMIT: &str = "curl -s -o answer -w '%{http_code} ' -X POST -H \"$auth\" -H 'X-Windlass-Workspace: acme' \
    -H 'Content-Type: application/json' -d '{\"type\":\"echo\",\"client_request_id\":\"a-try\",\"input\":{}}' \
    \"$WINDLASS_URL/ai/jobs\" && jq -r '.code // \"\"' answer";

/// A figure of the default queue, as Prometheus would see it.
fn figure(stack: &Stack, name: &str) -> String {
    let series = format!("{name}{{queue=\"default\"}} ");
    let shown = stack.sh("curl -s \"$WINDLASS_URL/metrics\"");
    shown.lines().find_map(|line| line.strip_prefix(&series)).unwrap_or("absent").to_owned()
}

fn becomes(stack: &Stack, name: &str, wanted: &str) {
    wait_for(&format!("{name} is {wanted}"), || figure(stack, name) == wanted);
}

/// How many jobs of the default queue were ever claimed. From Redis: scrapes that are close share a reading, which may
/// be older than the last claim.
fn claims(stack: &Stack) -> String {
    stack.sh("windlass queues list -o json | jq '.queues[] | select(.name == \"default\").dequeued_total'")
}

/// Jobs come in, none goes out.
fn see_jobs_stuck(stack: &mut Stack) {
    let claimed = claims(stack);
    let ids: Vec<String> = (0..3).map(|n| stack.submit(&format!("echo --input '{{\"n\":{n}}}'"))).collect();
    becomes(stack, "ai_queue_depth_total", "3");
    assert_eq!(claims(stack), claimed, "nobody claims");
    stack.set("STUCK_JOB", &ids[2]);
    stack.set("JOB_ID", &ids[2]);
}

fn see_jobs_done(stack: &mut Stack) {
    stack.reaches(&stack.environment["STUCK_JOB"], "succeeded");
    becomes(stack, "ai_queue_depth_total", "0");
}

fn kill_every_worker(stack: &mut Stack) {
    stack.kill_workers();
    becomes(stack, "ai_queue_workers", "0");
    see_jobs_stuck(stack);
}

fn start_workers_again(stack: &mut Stack) {
    stack.start_workers();
    see_jobs_done(stack);
    becomes(stack, "ai_queue_workers", "2");
}

fn pause_the_queue(stack: &mut Stack) {
    stack.sh("windlass queues pause default --reason 'a look at the mails'");
    see_jobs_stuck(stack);
}

fn see_the_queue_go_on(stack: &mut Stack) {
    see_jobs_done(stack);
}

/// How many submissions were answered with 503, as Prometheus would see it.
fn refused(stack: &Stack) -> u64 {
    let shown = stack.sh("curl -s \"$WINDLASS_URL/metrics\"");
    let series = "http_requests_total{path=\"/ai/jobs\",method=\"POST\",status=\"503\"} ";
    shown.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().expect("a number"))
}

/// Submissions answer 503 with one of these codes, and the metric of the alert counts them.
fn see_refusals(stack: &Stack, codes: &[&str]) {
    let before = refused(stack);
    let is_one = |answer: &str| answer.strip_prefix("503 ").is_some_and(|code| codes.contains(&code));
    wait_for(&format!("submissions answer one of {codes:?}"), || is_one(&stack.sh(SUBMIT)));
    wait_for("http_requests_total counts the refusals", || refused(stack) > before);
}

fn see_submissions_accepted(stack: &Stack) {
    wait_for("submissions are accepted", || matches!(stack.sh(SUBMIT).get(..3), Some("202" | "200")));
}

fn stop_redis(stack: &mut Stack) {
    stack.redis.kill();
    see_refusals(stack, &["redis_unavailable"]);
    see_red(stack);
}

/// The API looks at Redis every few seconds.
fn see_red(stack: &Stack) {
    let red = "[ \"$(curl -s -o answer -w '%{http_code}' \"$WINDLASS_URL/ready\")\" = 503 ]";
    stack.eventually("the API is not ready", red);
}

fn start_redis_again(stack: &mut Stack) {
    stack.redis.again(&[]);
    see_submissions_accepted(stack);
    let id = stack.submit("echo --input '{}'");
    stack.reaches(&id, "succeeded");
}

fn freeze_redis(stack: &mut Stack) {
    stack.redis.signal(nix::sys::signal::Signal::SIGSTOP);
    // What is sent before the silence is noticed, and what comes after.
    see_refusals(stack, &["outcome_unknown", "redis_unavailable"]);
    see_red(stack);
}

fn thaw_redis(stack: &mut Stack) {
    stack.redis.signal(nix::sys::signal::Signal::SIGCONT);
    stack.eventually("the API is ready", "curl -sf \"$WINDLASS_URL/ready\"");
    see_submissions_accepted(stack);
}

/// What a situation that was not mended may have left behind would be in the way of all that follow.
pub(crate) fn clear_away(stack: &mut Stack) {
    stack.redis.again(&[]);
    stack.local.again(&[]);
    stack.start_api();
    stack.start_workers();
    stack.sh("windlass queues resume default");
    see_submissions_accepted(stack);
}

fn fill_redis(stack: &mut Stack) {
    stack.sh("windlass queues pause default --reason 'to have something in line'");
    see_jobs_stuck(stack);
    stack.sh("redis-cli -u \"$REDIS_URL\" CONFIG SET maxmemory 1mb");
    see_refusals(stack, &["redis_full"]);
    // What is in line drains all the same.
    stack.sh("windlass queues resume default");
    see_jobs_done(stack);
    assert_eq!(stack.sh(SUBMIT), "503 redis_full", "and it is still full");
}

fn see_room_again(stack: &mut Stack) {
    see_submissions_accepted(stack);
}

fn let_redis_evict(stack: &mut Stack) {
    stack.sh("redis-cli -u \"$REDIS_URL\" CONFIG SET maxmemory-policy allkeys-lru");
    see_refusals(stack, &["redis_unsafe"]);
}

fn see_redis_keep(stack: &mut Stack) {
    see_submissions_accepted(stack);
}

/// As clients do: again when refused. Each answer is cut to its id before it goes into the pipe that all share.
const REQUEST: &str = "curl -sf --retry 5 -X POST -H \"$auth\" -H 'X-Windlass-Workspace: ws-123' -H 'Content-Type: application/json' \
    -d '{\"type\":\"echo\",\"client_request_id\":\"req-456\",\"input\":{}}' \"$WINDLASS_URL/ai/jobs\" | jq -r .id";

fn send_one_request_fifty_times(stack: &mut Stack) {
    let script = format!("for n in $(seq 50); do ({REQUEST}) & done | sort -u");
    let ids = stack.sh(&script);
    assert_eq!(ids.lines().count(), 1, "fifty requests made one job: {ids}");
    stack.set("JOB_ID", &ids);
    stack.reaches(&ids, "succeeded");
}

fn see_one_run(stack: &mut Stack) {
    let left = stack.sh("redis-cli -u \"$REDIS_URL\" TTL ai:idempotency:ws-123:req-456 2>/dev/null");
    let left: i64 = left.parse().expect("seconds");
    assert!((1..=86_400).contains(&left), "it ended a moment ago: {left}");
    let attempt = stack.sh("windlass jobs show \"$JOB_ID\" -o json | jq .attempt");
    assert_eq!(attempt, "1", "it ran once");
}

const ASK: &str = "llm.chat --input '{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'";

fn break_the_provider(stack: &mut Stack) {
    stack.local.again(&["--fault-rate", "1"]);
    let open = "windlass providers list | grep -E 'local +fake-model' | grep -E 'open until|cooling'";
    // By the worker that has a port, too.
    let seen = "curl -s \"$WORKER_URL/metrics\" | grep '^windlass_llm_queries_total{provider=\"local\"'";
    let mut asked = String::new();
    wait_for("the breaker opens", || {
        asked = stack.submit(&format!("{ASK} --max-attempts 10"));
        // The other provider has the model too.
        stack.reaches(&asked, "succeeded");
        stack.run(open).code == Some(0) && stack.run(seen).code == Some(0)
    });
    stack.set("JOB_ID", &asked);
}

fn see_the_provider_called(stack: &mut Stack) {
    stack.local.again(&[]);
    wait_for("calls go to it again", || {
        let id = stack.submit(ASK);
        stack.reaches(&id, "succeeded");
        stack.sh(&format!("windlass jobs show {id} -o json | jq -r .result.provider")) == "local"
    });
    let closed = "windlass providers list | grep -E 'local +fake-model' | grep closed";
    stack.eventually("its breaker is closed", closed);
}

fn name_the_dead_job(stack: &mut Stack) {
    let id = stack.environment["DEAD_JOB"].clone();
    stack.set("JOB_ID", &id);
}

fn see_it_run_again(stack: &mut Stack) {
    let id = stack.environment["JOB_ID"].clone();
    stack.eventually("it had another life", &format!("windlass jobs show {id} -o json | jq -e '.state == \"dead\"'"));
}

fn name_the_held_job(stack: &mut Stack) {
    let id = stack.environment["HELD_JOB"].clone();
    stack.set("JOB_ID", &id);
}

fn see_the_old_one_refused(stack: &mut Stack) {
    let refused = stack.run("redis-cli -u \"${REDIS_URL/$NEW_PASSWORD/$OLD_PASSWORD}\" ping");
    assert!(refused.output.contains("WRONGPASS"), "{}", refused.output);
    stack.redis.change_password(&stack.environment["NEW_PASSWORD"].clone());
    let id = stack.submit("echo --input '{}'");
    stack.reaches(&id, "succeeded");
}

/// 32 bytes in base64, as the stack's own.
const NEW_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn go_to_another_key(stack: &mut Stack) {
    stack.sh("echo a-password | windlass credentials add mail --workspace acme --kind smtp --host mail.example.org --username me");
    let old = stack.environment["CREDENTIALS_KEY"].clone();
    for (key, other) in [(old.as_str(), NEW_KEY), (NEW_KEY, old.as_str())] {
        stack.set("CREDENTIALS_KEY", key);
        stack.set("CREDENTIALS_OLD_KEYS", other);
        stack.start_api();
        stack.start_workers();
    }
    let before = stack.sh("windlass doctor");
    assert!(before.contains("degraded"), "one is under the old key: {before}");
}

fn see_the_old_key_gone(stack: &mut Stack) {
    stack.environment.remove("CREDENTIALS_OLD_KEYS");
    stack.start_api();
    stack.start_workers();
    stack.sh("windlass doctor -o json | jq -e '.. | objects | select(.check == \"credentials\") | .status == \"ok\"'");
    stack.sh("windlass credentials remove mail --workspace acme");
}
