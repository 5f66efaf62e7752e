//! The same work under other settings: persistence, numbers of workspaces, payload sizes. Each ratio is of
//! rounds in turn.

use crate::floor::Cost;
use crate::jobs::PAYLOAD;
use crate::lifecycle::run_among;
use crate::redis::Redis;
use crate::table::{Table, microseconds, percent};

const BATCH: usize = 100;
/// 32 KB of JSON go through Redis in fewer jobs: a call is cut at a megabyte, as the submitter's is.
const LARGE_BATCH: usize = 20;

/// A server, how many workspaces share it, and what its jobs carry.
struct Case<'a> {
    redis: &'a Redis,
    workspaces: usize,
    input: &'a str,
    batch: usize,
    jobs: usize,
}

/// The least of `rounds` of each case, in turn.
async fn least(cases: &[Case<'_>], rounds: usize) -> Vec<Cost> {
    let mut least: Vec<Option<Cost>> = cases.iter().map(|_| None).collect();
    for _ in 0..rounds {
        for (case, least) in cases.iter().zip(&mut least) {
            case.redis.flush();
            let store = case.redis.store(|_| {}).await;
            let cost = run_among(case.workspaces, case.input, case.redis, &store, "set", case.jobs, case.batch).await;
            *least = Some(least.map_or(cost, |known| known.min(cost)));
        }
    }
    least.into_iter().flatten().collect()
}

pub(crate) async fn compare(table: &mut Table, rounds: usize, jobs: usize) {
    let plain = Redis::start();
    let logged = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "everysec"]);
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(32 * 1024 - 11));
    let case = |redis, workspaces| Case { redis, workspaces, input: PAYLOAD, batch: BATCH, jobs };
    let cases = [
        case(&plain, 100),
        case(&logged, 100),
        case(&plain, 1),
        case(&plain, 10_000),
        Case { redis: &plain, workspaces: 100, input: &large, batch: LARGE_BATCH, jobs: jobs / 20 },
    ];
    let costs = least(&cases, rounds).await;
    let [none, everysec, one, many, heavy] = &costs[..] else { return };
    let parts = |cost: &Cost| format!("{} + {} µs a job", microseconds(cost.enqueue), microseconds(cost.process));
    table.row("AOF everysec to none", &percent(none.total() / everysec.total()), "≥ 70 %", &parts(everysec));
    let ratio = |a: &Cost, b: &Cost| format!("{:.2} ×", a.total() / b.total());
    table.row("10000 workspaces to 1", &ratio(many, one), "≤ 1.5 ×", &format!("{} to {}", parts(many), parts(one)));
    table.row("100 workspaces to 1", &ratio(none, one), "", &parts(none));
    table.row("32 KB payload to 200 bytes", &ratio(heavy, none), "", &parts(heavy));
}
