//! `make bench`: ratios against floors that are measured beside them, in one table with the goals.
//! Nothing is asserted. README.md in this folder's parent says how each figure comes about.
#![expect(clippy::expect_used, reason = "a bench that cannot go on should say so")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench starts servers and processes of its own")]

mod effects;
mod engine;
mod fleet;
mod floor;
mod http;
mod jobs;
mod latency;
mod lifecycle;
mod llm;
mod operations;
mod redis;
mod settings;
mod table;
mod webhooks;

use std::time::Duration;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much is done: the defaults take some minutes, `BENCH_QUICK=1` makes them fewer.
struct Effort {
    rounds: usize,
    jobs: usize,
    deep: usize,
    window: Duration,
}

impl Effort {
    fn chosen() -> Self {
        match std::env::var("BENCH_QUICK").as_deref() {
            Ok("1") => Self { rounds: 3, jobs: 20_000, deep: 100_000, window: Duration::from_secs(2) },
            _ => Self { rounds: 5, jobs: 40_000, deep: 1_000_000, window: Duration::from_secs(4) },
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some(http::BARE) => runtime.block_on(http::serve_bare(&arguments[1])),
        Some(llm::MODEL) => runtime.block_on(llm::serve_model(&arguments[1], &arguments[2])),
        Some(webhooks::SINK) => runtime.block_on(webhooks::serve_sink()),
        only => runtime.block_on(measure(only)),
    }
}

/// `only` is the name of the one group to measure.
async fn measure(only: Option<&str>) {
    let effort = Effort::chosen();
    let mut table = table::Table::default();
    let wanted = |group: &str| only.is_none_or(|only| only == group);
    if wanted("lifecycle") {
        lifecycle::against_the_floor(&mut table, effort.rounds, effort.jobs).await;
    }
    if wanted("depth") {
        lifecycle::at_depth(&mut table, effort.rounds, effort.jobs, effort.deep).await;
    }
    if wanted("cluster") {
        lifecycle::on_a_shard(&mut table, effort.rounds, effort.jobs).await;
    }
    if wanted("settings") {
        settings::compare(&mut table, effort.rounds, effort.jobs).await;
    }
    if wanted("http") {
        http::against_a_bare_handler(&mut table, effort.rounds, effort.window / 2).await;
    }
    if wanted("latency") {
        latency::idle(&mut table, 500).await;
    }
    if wanted("drain") {
        engine::drain(&mut table, effort.rounds, 5 * effort.jobs / 2).await;
    }
    if wanted("effects") {
        effects::guard(&mut table, effort.rounds, effort.jobs).await;
    }
    if wanted("submit") {
        engine::submit(&mut table, effort.rounds, 5 * effort.jobs / 2).await;
    }
    if wanted("idle") {
        engine::at_rest(&mut table, effort.window).await;
    }
    if wanted("fleet") {
        fleet::scale(&mut table, effort.window).await;
    }
    if wanted("streams") {
        llm::streams(&mut table, effort.rounds).await;
    }
    if wanted("calls") {
        llm::weight(&mut table).await;
    }
    if wanted("webhooks") {
        webhooks::deliver(&mut table, effort.rounds, effort.jobs / 2).await;
    }
    if wanted("operations") {
        operations::million(&mut table, effort.deep).await;
    }
    table.print();
}
