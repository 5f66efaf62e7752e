//! Mails, issues and webhooks whose workers are killed between an effect and its answer, counted where they arrive.
//!
//! `make effects`. Real processes, real sinks, a real Redis. On the way to every sink some answers to effects wait: a
//! worker is killed meanwhile; others are lost although the sink has done its part. At the end every job has succeeded,
//! or is held as doubtful; a person decides those by what the sinks saw; and no sink has seen an effect twice. The same
//! run without the guard shows what would happen.
#![expect(clippy::expect_used, reason = "a run that cannot go on should say so")]
#![expect(clippy::panic, clippy::disallowed_methods, reason = "it is a test, and has tasks of its own")]
#![expect(clippy::print_stdout, reason = "its report is what it is for")]

mod fleet;
mod sinks;
mod support;
mod verdict;
mod window;
mod workload;

use clap::Parser;

use fleet::Kills;
use verdict::Report;

/// The jobs that a plan names are submitted again when they run out before the kills are made, this often at most.
const MOST_TIMES: usize = 10;

/// How large a run is.
#[derive(Clone, Copy, Debug, Parser)]
pub(crate) struct Plan {
    /// Jobs at once: as many mails over each of two ways, issues and webhooks.
    #[arg(long, default_value_t = 400)]
    pub(crate) jobs: usize,
    /// Workers killed while an answer waited.
    #[arg(long, default_value_t = 15)]
    pub(crate) kills: usize,
    /// Decides which answers wait or are lost, and who is killed.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// With the guard switched off: shows duplicates, and fails if there are none.
    #[arg(long)]
    pub(crate) unguarded: bool,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let plan = Plan::parse();
    let report = run(plan).await;
    println!("{}", report.text());
    if report.is_as_it_should_be() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

async fn run(plan: Plan) -> Report {
    let sinks = sinks::Sinks::start(plan.seed).await;
    let mut fleet = fleet::Fleet::start(plan, &sinks).await;
    let (mut ids, mut kills) = (Vec::new(), Kills::default());
    // On a slow machine the others have done all there is while a killed worker's successor starts.
    while kills.inside < plan.kills && ids.len() < MOST_TIMES * plan.jobs {
        ids.extend(workload::submit(&fleet, &sinks, ids.len()..ids.len() + plan.jobs).await);
        fleet.kill_in_the_window(plan, &sinks, &mut kills).await;
    }
    sinks.let_pass();
    let ends = workload::wait_for_ends(&fleet, &ids).await;
    let decided = workload::decide_what_is_held(&fleet, &sinks, &ends).await;
    let after = workload::wait_for_ends(&fleet, &ids).await;
    Report::of(plan, &sinks, kills, &ends, decided, &after)
}
