//! What is measured in which order: rounds in which the systems take turns, then what needs no round.

use std::time::Duration;

use crate::figures::{Case, Figures, Measure, percentile};
use crate::footprint;
use crate::measure::{self, Rate, Setting};
use crate::report;
use crate::systems::{self, System};

/// How much is done: the defaults take a quarter of an hour, `PEERS_QUICK=1` a quarter of that.
struct Effort {
    rounds: usize,
    seconds: f64,
    window: Duration,
    latencies: usize,
    deep: usize,
    pending: usize,
}

impl Effort {
    fn chosen() -> Self {
        let quick = std::env::var("PEERS_QUICK").is_ok_and(|value| value == "1");
        let (rounds, seconds, window) =
            if quick { (2, 0.5, Duration::from_millis(700)) } else { (5, 1.0, Duration::from_millis(1500)) };
        let rounds = std::env::var("PEERS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(rounds);
        let (latencies, deep, pending) = if quick { (100, 100_000, 20_000) } else { (200, 1_000_000, 100_000) };
        Self { rounds, seconds, window, latencies, deep, pending }
    }
}

/// The cases beside the base, with what differs.
const CASES: [Case; 3] = [Case::Aof, Case::Delay, Case::Large];

fn setting(case: Case) -> Setting {
    let base = Setting::default();
    match case {
        Case::Base | Case::Deep => base,
        Case::Aof => Setting { aof: true, ..base },
        Case::Delay => Setting { delay: Duration::from_millis(1), ..base },
        Case::Large => Setting { bytes: 32 * 1024, ..base },
        Case::Workspaces(workspaces) => Setting { workspaces, ..base },
    }
}

/// All of it; `only` names the one system to measure beside ours.
pub(crate) fn run(only: Option<&str>) {
    let (effort, mut figures) = (Effort::chosen(), Figures::default());
    let mut systems = systems::all();
    if let Some(only) = only {
        systems.retain(|system| system.name == "Windlass" || system.name.eq_ignore_ascii_case(only));
    }
    report::heading();
    for round in 1..=effort.rounds {
        eprintln!("round {round} of {}", effort.rounds);
        for (place, system) in systems.iter().enumerate() {
            rates(&mut figures, (place, system), Case::Base, &effort);
            latency(&mut figures, (place, system), &effort);
        }
        for case in CASES {
            systems.iter().enumerate().for_each(|one| rates(&mut figures, one, case, &effort));
        }
        for count in [1, 100, 10_000] {
            rates(&mut figures, (0, &systems[0]), Case::Workspaces(count), &effort);
        }
    }
    for (place, system) in systems.iter().enumerate() {
        once(&mut figures, (place, system), &effort);
    }
    let footprint = footprint::measure();
    report::print(&systems, &figures, effort.deep);
    report::goals(&systems, &figures);
    report::footprint(&footprint);
}

fn rates(figures: &mut Figures, (place, system): (usize, &System), case: Case, effort: &Effort) {
    let setting = setting(case);
    // Memory is not what the large payloads are about.
    let jobs = if setting.bytes > 10_000 { system.backlog.min(6_000) } else { system.backlog };
    if system.enqueues && !matches!(case, Case::Workspaces(_)) {
        let rate = measure::single(system, &setting, effort.seconds);
        say(system, case, "enqueues", &rate);
        figures.add(place, Measure::SingleClient(case), rate.client);
        figures.add(place, Measure::Single(case), rate.jobs);
        figures.add(place, Measure::SingleCost(case), rate.cost);
    }
    let (filled, processed) = measure::process(system, &setting, jobs, effort.window);
    say(system, case, "processes", &processed);
    if system.bulk.is_some() {
        figures.add(place, Measure::Bulk(case), filled.jobs);
        figures.add(place, Measure::BulkCost(case), filled.cost);
    }
    figures.add(place, Measure::Process(case), processed.jobs);
    figures.add(place, Measure::ProcessCost(case), processed.cost);
    figures.add(place, Measure::ProcessClient(case), processed.client);
}

fn say(system: &System, case: Case, what: &str, rate: &Rate) {
    let Rate { jobs, cost, client } = rate;
    eprintln!("  {} {case:?}: {what} {jobs:.0} jobs/s, {cost:.1} µs of Redis, {client:.1} µs of its own", system.name);
}

fn latency(figures: &mut Figures, (place, system): (usize, &System), effort: &Effort) {
    if !system.enqueues {
        return;
    }
    let (starts, trips) = measure::latency(system, effort.latencies).unwrap_or_default();
    let [p50, p99, trip50, trip99] =
        [(&starts, 0.5), (&starts, 0.99), (&trips, 0.5), (&trips, 0.99)].map(|(list, share)| percentile(list, share));
    eprintln!("  {}: idle start {p50:.0} and {p99:.0} µs, enqueue {trip50:.0} and {trip99:.0} µs", system.name);
    figures.add(place, Measure::StartP50, p50);
    figures.add(place, Measure::StartP99, p99);
    figures.add(place, Measure::TripP50, trip50);
    figures.add(place, Measure::TripP99, trip99);
}

/// What noise does not change, or takes too long for every round.
fn once(figures: &mut Figures, (place, system): (usize, &System), effort: &Effort) {
    // Many enough that what a worker sends when it starts does not count.
    match measure::commands(system, (system.backlog / 4).clamp(2_000, 20_000)) {
        Some((enqueue, process)) => {
            eprintln!("  {}: {enqueue:.2} + {process:.2} commands a job", system.name);
            figures.add(place, Measure::CommandsIn, enqueue);
            figures.add(place, Measure::CommandsOut, process);
        }
        None => eprintln!("  {}: not every job finished", system.name),
    }
    if system.enqueues {
        let jobs = if system.backlog < 7_000 { effort.pending.min(20_000) } else { effort.pending };
        let bytes = measure::bytes(system, jobs);
        eprintln!("  {}: {bytes:.0} bytes a pending job", system.name);
        figures.add(place, Measure::Bytes, bytes);
    }
    if system.deep {
        let (_, base) = measure::process(system, &Setting::default(), system.backlog, effort.window);
        let (_, deep) = measure::process(system, &Setting::default(), effort.deep, effort.window);
        eprintln!("  {}: {:.0} jobs/s with {} in line, {:.0}", system.name, deep.jobs, effort.deep, base.jobs);
        figures.add(place, Measure::Process(Case::Deep), deep.jobs);
        figures.add(place, Measure::ProcessCost(Case::Deep), deep.cost);
    }
}

/// Rates by the settings that may be tuned, to check those in `systems`; in rounds, like all else.
pub(crate) fn sweep(only: Option<&str>) {
    const SLOTS: [usize; 5] = [4, 16, 64, 100, 200];
    const IN_FLIGHT: [(usize, usize); 6] = [(1, 1), (4, 4), (16, 16), (64, 4), (64, 16), (64, 64)];
    let (effort, base) = (Effort::chosen(), Setting::default());
    let wanted = |system: &System| only.is_none_or(|only| system.name.eq_ignore_ascii_case(only));
    for place in (0..systems::all().len()).filter(|place| wanted(&systems::all()[*place])) {
        let tuned = || systems::all().swap_remove(place);
        for round in 1..=effort.rounds {
            for (slots, processes) in SLOTS.into_iter().flat_map(|slots| [(slots, 1), (slots, 2)]) {
                let mut system = tuned();
                (system.order.slots, system.processes) = (slots, processes);
                let (_, rate) = measure::process(&system, &base, system.backlog, effort.window);
                println!("{round} {}: {processes} processes of {slots}: {:.0} jobs/s", system.name, rate.jobs);
            }
            for (singles, connections) in IN_FLIGHT {
                let mut system = tuned();
                (system.singles, system.order.connections) = (singles, connections);
                let rate = measure::single(&system, &base, effort.seconds);
                println!("{round} {}: {singles} at once on {connections}: {:.0} jobs/s", system.name, rate.jobs);
            }
        }
    }
}
