//! `make chaos-bugs`: the proof that the checker bites. One short run for each bug that the special build can have, with
//! the faults that bring it out; the checker has to name it. A run without a bug has to be valid.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use windlass::store::planted;

use super::checker;
use super::children::Launcher;
use super::history::now_us;
use super::run::Options;

/// Runs of one bug, each with another seed, before it counts as survived.
const TRIES: u64 = 3;
const SEED: u64 = 11;
/// How long a sound queue may take to become quiet, and how long one with a bug is given.
const QUIET_SOUND: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(5);
/// The longest drill.
const LONGEST: Duration = Duration::from_secs(180);

/// Stands for the run without a bug.
const CONTROL: &str = "none";

/// How one bug is brought out, and what the checker calls it.
struct Drill {
    bug: &'static str,
    /// Kinds of faults.
    faults: &'static [&'static str],
    /// One of these has to be found.
    caught_as: &'static [&'static str],
    /// Of faults.
    seconds: u64,
    /// How long everything may take to end: what is found in the dump counts only if it is of a quiet moment.
    quiet: Duration,
}

const fn drill(
    bug: &'static str,
    seconds: u64,
    faults: &'static [&'static str],
    caught_as: &'static [&'static str],
) -> Drill {
    Drill { bug, faults, caught_as, seconds, quiet: QUIET }
}

/// For bugs that show in what is left at the end.
const fn patient(drill: Drill) -> Drill {
    Drill { quiet: QUIET_SOUND, ..drill }
}

/// For what needs no more than clients.
const CALM: &[&str] = &["net_delay"];
const FROZEN: &[&str] = &["worker_stop", "effect_freeze_inside", "net_blackhole"];
const KILLED: &[&str] = &["worker_kill", "all_workers_kill", "handler_abort"];
const CUT: &[&str] = &["net_cut_reply", "net_half_open_down", "client_kill", "net_reset"];

const DRILLS: &[Drill] = &[
    drill("ack_without_attempt_check", 25, FROZEN, &["stale_write"]),
    drill("backoff_ignored", 15, CALM, &["backoff_skipped"]),
    drill("blind_resend", 20, &["effect_cut"], &["effect_resent"]),
    drill("cancel_not_fenced", 12, CALM, &["terminal_not_final"]),
    drill("cap_not_checked", 10, CALM, &["cap_exceeded"]),
    drill("cap_slot_leaked", 15, KILLED, &["slots_wrong"]),
    patient(drill("crash_not_counted", 12, KILLED, &["poison_rule", "not_terminal"])),
    drill("cross_workspace_read", 10, CALM, &["foreign_canary", "foreign_access"]),
    drill("dead_letter_lost", 12, CALM, &["recount_differs"]),
    drill("depth_drift", 8, CALM, &["depth_drift"]),
    drill("drain_drops", 15, &["worker_term"], &["sum_not_conserved", "recount_differs"]),
    drill("heartbeat_revives_lease", 20, FROZEN, &["lease_overlap", "stale_write", "recount_differs"]),
    drill("key_ttl_shorter_than_job", 12, CALM, &["two_jobs_for_key", "key_gone"]),
    drill("non_atomic_counters", 8, CALM, &["sum_not_conserved", "recount_differs"]),
    drill("orphans_forgotten", 15, KILLED, &["orphan_late"]),
    drill("parked_job_forgotten", 20, &["pause_type", "pause_workspace"], &["sum_not_conserved", "recount_differs"]),
    drill("reaper_before_lease_end", 10, CALM, &["lease_deadline"]),
    patient(drill("redrive_without_key", 15, CALM, &["two_jobs_for_key", "key_gone"])),
    drill("requeue_without_recheck", 30, FROZEN, &["stale_write", "lease_overlap"]),
    drill("retry_resets_attempts", 10, CALM, &["attempt_number"]),
    drill("run_at_ignored", 8, CALM, &["ran_before_due"]),
    drill("scheduled_promoted_twice", 12, CALM, &["illegal_transition", "stale_write"]),
    drill("terminal_overwritten", 20, CUT, &["terminal_not_final"]),
    patient(drill("two_step_idempotency", 20, &["api_kill", "net_cut_after", "net_reset"], &["key_leaked"])),
    drill("worker_clock_for_leases", 25, &["clock_skew"], &["lease_deadline"]),
];

/// A bug that no drill brings out, because the clients send nothing that is guarded; `tests/it/engine/effects.rs` does.
const ELSEWHERE: &[&str] = &["effect_guard_off"];

/// What became of one bug.
struct Outcome {
    found: Option<(&'static str, f64)>,
    seed: u64,
    took: f64,
    /// Whatever else the checker named.
    others: Vec<&'static str>,
}

/// Says which planted bug is none, because the scripts changed under it.
pub(crate) fn misfits() -> Vec<String> {
    planted::BUGS.iter().flat_map(planted::misfits).collect()
}

/// Runs the drills of these bugs, or all and the control, and prints the table.
pub(crate) async fn run(names: &[&str]) -> ExitCode {
    if let Some(name) = names
        .iter()
        .copied()
        .chain(planted::BUGS.iter().map(|bug| bug.name).filter(|bug| !ELSEWHERE.contains(bug)))
        .find(|n| *n != CONTROL && plan(n).is_none())
    {
        eprintln!("chaos: no drill brings out a bug called `{name}`");
        return ExitCode::from(2);
    }
    let unknown = |name: &&&str| !checker::CLASSES.iter().any(|(class, _)| class == *name);
    if let Some(class) = DRILLS.iter().flat_map(|drill| drill.caught_as).find(unknown) {
        eprintln!("chaos: the checker has no class `{class}`");
        return ExitCode::from(2);
    }
    let wanted = |drill: &&Drill| names.is_empty() || names.contains(&drill.bug);
    let (mut survived, mut drilled) = (0, 0);
    println!("{:<28}{:<22}{:>8}{:>8}{:>6}  beside it", "bug", "caught as", "after s", "run s", "seed");
    for drill in DRILLS.iter().filter(wanted) {
        drilled += 1;
        let Some(outcome) = bring_out(drill).await else { return ExitCode::from(3) };
        let (name, after) = outcome.found.map_or(("SURVIVED", String::new()), |(name, s)| (name, format!("{s:.1}")));
        survived += usize::from(outcome.found.is_none());
        let (took, seed, others) = (outcome.took, outcome.seed, outcome.others.join(" "));
        println!("{:<28}{name:<22}{after:>8}{took:>8.1}{seed:>6}  {others}", drill.bug);
    }
    let sound = !(names.is_empty() || names.contains(&CONTROL)) || control().await;
    println!("{} of {drilled} bugs caught", drilled - survived);
    if survived == 0 && sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan(bug: &str) -> Option<&'static Drill> {
    DRILLS.iter().find(|drill| drill.bug == bug)
}

fn options(bug: Option<&str>, seed: u64, seconds: u64, faults: &[&str], quiet: Duration) -> Options {
    let folder = PathBuf::from("target/chaos/bugs").join(bug.unwrap_or("none"));
    let faults = faults.iter().map(|kind| (*kind).to_owned()).collect();
    Options { seed, minutes: seconds as f64 / 60.0, folder, faults, bug: bug.map(str::to_owned), quiet }
}

/// Until it is caught, or the tries are used up. `None` when the fleet did not come up.
async fn bring_out(drill: &Drill) -> Option<Outcome> {
    let (begun, mut last) = (windlass::clock::now(), None);
    for seed in SEED..SEED + TRIES {
        let options = options(Some(drill.bug), seed, drill.seconds, drill.faults, drill.quiet);
        let start_us = now_us();
        let report = judged(&options).await?;
        let seconds = |t: u64| if t == 0 { now_us().saturating_sub(start_us) } else { t.saturating_sub(start_us) };
        let first = |name: &'static str| {
            let of = report.violations.iter().filter(|v| v.name == name).map(|v| seconds(v.t)).min();
            of.map(|us| (name, us as f64 / 1e6))
        };
        let found = drill.caught_as.iter().find_map(|name| first(name));
        let mut others: Vec<&str> = report.violations.iter().map(|v| v.name).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|name| Some(*name) != found.map(|(name, _)| name));
        let caught = found.is_some();
        last = Some(Outcome { found, seed, took: begun.elapsed().as_secs_f64(), others });
        if caught {
            break;
        }
    }
    last
}

/// Without a bug there is nothing to find.
async fn control() -> bool {
    let faults =
        [FROZEN, KILLED, CUT, &["worker_term", "clock_skew", "effect_cut", "effect_refuse", "api_kill"]].concat();
    let options = options(None, SEED, 30, &faults, QUIET_SOUND);
    let report = judged(&options).await;
    let valid = report.as_ref().is_some_and(|report| report.valid);
    println!("{CONTROL:<28}{}", if valid { "valid" } else { "NOT VALID" });
    if let Some(report) = report.filter(|report| !report.valid) {
        println!("{}", report.text);
    }
    valid
}

/// A drill is a process of its own, because everything that it started ends with it.
async fn judged(options: &Options) -> Option<checker::Report> {
    let run = async {
        let mut command = Launcher::detect().await.command(std::env::current_exe()?);
        command.args(["drill", "--seed", &options.seed.to_string(), "--minutes", &options.minutes.to_string()]);
        command.arg("--out").arg(&options.folder).args(["--faults", &options.faults.join(",")]);
        command.args(["--quiet", &options.quiet.as_secs().to_string()]);
        command.args(options.bug.iter().flat_map(|bug| ["--bug", bug]));
        let status = command.status().await?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("the drill ended with {status}"))) }
    };
    match tokio::time::timeout(LONGEST, run).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            eprintln!("chaos: {error}");
            return None;
        }
        Err(_) => eprintln!("chaos: the drill did not end within {} s", LONGEST.as_secs()),
    }
    let report = checker::check(&options.folder);
    keep(&options.folder, &report.text);
    Some(report)
}

fn keep(folder: &Path, text: &str) {
    if let Err(error) = std::fs::write(folder.join("report.txt"), text) {
        eprintln!("chaos: the report could not be kept: {error}");
    }
}
