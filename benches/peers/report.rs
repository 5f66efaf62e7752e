//! The tables that a run ends with, as Markdown.

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use crate::figures::{Case, Figures, Measure};
use crate::footprint::{Footprint, SLOTS};
use crate::systems::{NO_LOCK, System};

/// Where and with what.
pub(crate) fn heading() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let version = |program: &str, argument: &str| {
        let output = std::process::Command::new(program).arg(argument).output();
        output.map_or_else(|_| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let redis = version("redis-server", "--version");
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?");
    println!("{cores} cores, Redis {redis}, Node.js {}, {}\n", version("node", "-v"), version("python3", "-V"));
}

fn table(head: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head.iter().copied());
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    println!("{table}\n");
}

fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| thousands(value.round() as u64))
}

fn thousands(value: u64) -> String {
    if value < 1000 { value.to_string() } else { format!("{},{:03}", value / 1000, value % 1000) }
}

fn tenths(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

fn hundredths(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// Microseconds as milliseconds.
fn milliseconds(value: Option<f64>) -> String {
    hundredths(value.map(|value| value / 1000.0))
}

fn times(ratio: Option<[f64; 3]>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |[middle, least, most]| format!("{middle:.1} × ({least:.1}–{most:.1})"))
}

/// The base case, how ours compares, and the other cases.
pub(crate) fn print(systems: &[System], figures: &Figures, deep: usize) {
    base(systems, figures);
    compared(systems, figures);
    cases(systems, figures, deep);
}

fn base(systems: &[System], figures: &Figures) {
    use Measure::{Bytes, CommandsIn, CommandsOut, StartP50, StartP99, TripP50, TripP99};
    println!("Base case: no AOF, no added delay, 200-byte payloads, 100 workspaces; medians of the rounds.\n");
    let row = |(place, system): (usize, &System)| {
        let value = |measure| figures.median(place, measure);
        vec![
            system.label(),
            whole(value(Measure::Single(Case::Base))),
            whole(value(Measure::Bulk(Case::Base))),
            whole(value(Measure::Process(Case::Base))),
            format!("{} / {}", milliseconds(value(StartP50)), milliseconds(value(StartP99))),
            format!("{} / {}", milliseconds(value(TripP50)), milliseconds(value(TripP99))),
            tenths(value(Measure::SingleCost(Case::Base))),
            tenths(value(Measure::BulkCost(Case::Base))),
            tenths(value(Measure::ProcessCost(Case::Base))),
            format!(
                "{} + {}",
                tenths(value(Measure::SingleClient(Case::Base))),
                tenths(value(Measure::ProcessClient(Case::Base)))
            ),
            format!("{} + {}", hundredths(value(CommandsIn)), hundredths(value(CommandsOut))),
            whole(value(Bytes)),
        ]
    };
    let head = [
        "",
        "enqueue single /s",
        "bulk /s",
        "process /s",
        "idle start p50 / p99 ms",
        "enqueue alone p50 / p99 ms",
        "Redis µs: single",
        "bulk",
        "process",
        "own µs: single + process",
        "commands a job",
        "bytes pending",
    ];
    table(&head, systems.iter().enumerate().map(row).collect());
}

fn compared(systems: &[System], figures: &Figures) {
    println!("Windlass to each: median of the rounds' ratios (least–greatest).\n");
    let row = |(place, system): (usize, &System)| {
        let against = |measure| times(figures.ratio((0, measure), (place, measure)));
        let faster = |measure| times(figures.ratio((place, measure), (0, measure)));
        vec![
            system.name.to_owned(),
            against(Measure::Single(Case::Base)),
            against(Measure::Bulk(Case::Base)),
            against(Measure::Process(Case::Base)),
            faster(Measure::StartP50),
            faster(Measure::ProcessCost(Case::Base)),
        ]
    };
    let head = ["", "enqueue single", "bulk", "process", "idle start, faster", "Redis to process, cheaper"];
    table(&head, systems.iter().enumerate().skip(1).map(row).collect());
}

fn cases(systems: &[System], figures: &Figures, deep: usize) {
    println!(
        "Other cases, jobs a second, with the share of the system's own base case and Windlass's factor over it.\n"
    );
    let all = [
        (Case::Aof, "AOF everysec".to_owned()),
        (Case::Delay, "1 ms added to a round trip".to_owned()),
        (Case::Large, "32 KB payloads".to_owned()),
        (Case::Deep, format!("{} in line", thousands(deep as u64))),
    ];
    let cell = |place: usize, measure: fn(Case) -> Measure, case: Case| {
        let Some(value) = figures.median(place, measure(case)) else { return "–".to_owned() };
        let share = figures.median(place, measure(Case::Base)).map(|base| value / base);
        let share = figures.ratio((place, measure(case)), (place, measure(Case::Base))).map(|r| r[0]).or(share);
        let factor = figures.ratio((0, measure(case)), (place, measure(case))).map(|ratio| ratio[0]);
        format!("{} ({:.0} %, {} ×)", whole(Some(value)), share.unwrap_or(f64::NAN) * 100.0, tenths(factor))
    };
    for (measure, what) in [(Measure::Process as fn(Case) -> Measure, "process"), (Measure::Single, "enqueue single")] {
        let mut head = vec![what];
        head.extend(all.iter().map(|(_, name)| name.as_str()));
        let row = |(place, system): (usize, &System)| {
            let mut row = vec![system.name.to_owned()];
            row.extend(all.iter().map(|(case, _)| cell(place, measure, *case)));
            row
        };
        table(&head, systems.iter().enumerate().map(row).collect());
    }
    println!("Windlass by number of workspaces: µs of Redis a job, enqueued in bulk and processed.\n");
    let row = |count: usize| {
        let value = |measure: fn(Case) -> Measure| figures.median(0, measure(Case::Workspaces(count)));
        vec![
            thousands(count as u64),
            tenths(value(Measure::BulkCost)),
            tenths(value(Measure::ProcessCost)),
            whole(value(Measure::Process)),
        ]
    };
    table(&["workspaces", "enqueue", "process", "process /s"], [1, 100, 10_000].into_iter().map(row).collect());
}

/// What was aimed at.
pub(crate) fn goals(systems: &[System], figures: &Figures) {
    let process = Measure::Process(Case::Base);
    let place = |name: &str| systems.iter().position(|system| system.name == name);
    let best = |measure: Measure, leased: bool| {
        let peers = systems.iter().enumerate().skip(1).filter(|(_, system)| system.leases || !leased);
        let rated = peers.filter_map(|(place, _)| Some((place, figures.median(place, measure)?)));
        rated.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(place, _)| place)
    };
    let against =
        |peer: Option<usize>, measure| times(peer.and_then(|peer| figures.ratio((0, measure), (peer, measure))));
    let name = |peer: Option<usize>| peer.map_or("–", |place| systems[place].name);
    let leased = best(process, true);
    let single = best(Measure::Single(Case::Base), false);
    let starts = systems.iter().enumerate().skip(1).filter_map(|(place, _)| figures.median(place, Measure::StartP50));
    let start = figures.median(0, Measure::StartP50);
    let next = starts.reduce(f64::min);
    let per = |over: Measure, under: Measure| figures.ratio((0, over), (0, under)).map(|ratio| ratio[0]);
    let percent = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
    let aof = per(Measure::Process(Case::Aof), process);
    let aof_in = per(Measure::Single(Case::Aof), Measure::Single(Case::Base));
    let cost = |count: usize| {
        let value = |measure: fn(Case) -> Measure| figures.median(0, measure(Case::Workspaces(count)));
        Some(value(Measure::BulkCost)? + value(Measure::ProcessCost)?)
    };
    let spread = cost(10_000).zip(cost(1)).map(|(many, one)| many / one);
    let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let rows = vec![
        row(["processing, to BullMQ", &against(place("BullMQ"), process), "≥ 7 ×"]),
        row([
            &format!("processing, to the best with leases and acknowledgements ({})", name(leased)),
            &against(leased, process),
            "≥ 5 ×",
        ]),
        row(["processing, to apalis-redis with its lock off", &against(place(NO_LOCK), process), ""]),
        row([
            &format!("single enqueues, to the best ({})", name(single)),
            &against(single, Measure::Single(Case::Base)),
            "≥ 2.5 ×",
        ]),
        row([
            "idle start p50, and the best peer's, ms",
            &format!("{} and {}", milliseconds(start), milliseconds(next)),
            "below",
        ]),
        row(["idle start p50, in round trips", &hundredths(per(Measure::StartP50, Measure::TripP50)), "≤ 1.7"]),
        row(["idle start p99, in p99 of the trip", &hundredths(per(Measure::StartP99, Measure::TripP99)), "≤ 3"]),
        row(["AOF everysec: processing, single enqueues", &[percent(aof), percent(aof_in)].join(", "), "≥ 70 %"]),
        row(["10,000 workspaces, to the cost of one", &hundredths(spread), "≤ 1.5"]),
        row(["bytes per pending job", &whole(figures.median(0, Measure::Bytes)), "≤ 750"]),
    ];
    table(&["figure", "measured", "goal"], rows);
}

/// The real worker process.
pub(crate) fn footprint(found: &Footprint) {
    let memory = format!("{:.0} MB, {} running", found.busy_bytes as f64 / 1e6, thousands(found.running));
    let rows = vec![
        vec![format!("`windlass worker`, {} busy slots", thousands(SLOTS as u64)), memory, "≤ 100 MB".to_owned()],
        vec!["its commands a second when idle".to_owned(), hundredths(Some(found.idle_commands)), "≤ 2".to_owned()],
    ];
    table(&["figure", "measured", "goal"], rows);
}
