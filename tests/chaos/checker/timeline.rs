//! What every source says of a job, in one line of time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::history::Nemesis;
use super::lines::{Folder, Row};

/// Lines shown of one job.
const SHOWN: usize = 60;
/// Faults this long before and after are shown, in microseconds.
const AROUND_US: u64 = 3_000_000;

const FILES: [&str; 4] = ["ops", "log", "sink", "leases"];

/// Timelines of `jobs`, by id. One pass over the folder, whatever their number.
pub(super) fn of(folder: &Folder<'_>, jobs: &[String], nemesis: &Nemesis) -> BTreeMap<String, String> {
    let mut found: BTreeMap<&str, Vec<(u64, String)>> = jobs.iter().map(|id| (id.as_str(), Vec::new())).collect();
    if found.is_empty() {
        return BTreeMap::new();
    }
    for file in FILES {
        let read = folder.raw(file, |_, line| {
            for (id, lines) in &mut found {
                if line.contains(id)
                    && let Ok(value) = serde_json::from_str(line)
                {
                    lines.push(moment(file, id, &Row::of(value)));
                }
            }
            Ok(true)
        });
        if read.is_err() {
            break;
        }
    }
    found.into_iter().map(|(id, lines)| (id.to_owned(), shown(lines, nemesis))).collect()
}

fn moment(file: &str, id: &str, row: &Row) -> (u64, String) {
    let without = |names: &[&str]| {
        let mut value = row.value().clone();
        if let Value::Object(map) = &mut value {
            map.retain(|name, v| !v.is_null() && name != "t" && !names.contains(&name.as_str()));
        }
        value.to_string()
    };
    match file {
        "log" => {
            let items = row.word("e").split(' ').filter(|item| item.starts_with(id));
            let items: Vec<String> = items.map(|item| item[id.len()..].replacen(':', "by ", 1)).collect();
            let entry = row.word("entry");
            let t = super::history::entry(entry).map_or(row.t(), |(ms, _)| ms * 1000);
            let claimed = items.iter().any(|item| item.starts_with('R'));
            let by = if claimed { format!(" as {}", row.word("a")) } else { String::new() };
            (t, format!("log    {} {}{by}", entry, items.join(" ")))
        }
        "ops" => (row.t(), format!("client {}", without(&["job", "expect"]))),
        "sink" => (row.t(), format!("sink   {}", without(&["job", "key"]))),
        _ => (row.t(), format!("lease  {}", without(&["job"]))),
    }
}

fn shown(mut lines: Vec<(u64, String)>, nemesis: &Nemesis) -> String {
    let (from, to) =
        (lines.iter().map(|(t, _)| *t).min().unwrap_or(0), lines.iter().map(|(t, _)| *t).max().unwrap_or(0));
    for fault in &nemesis.faults {
        if fault.begin <= to + AROUND_US && fault.end.saturating_add(AROUND_US) >= from {
            let what = format!("fault  {} of {} {}", fault.kind, fault.target, fault.args);
            lines.push((fault.begin, format!("{what} begins")));
            if fault.end != u64::MAX && fault.end != fault.begin {
                lines.push((fault.end, format!("{what} ends")));
            }
        }
    }
    lines.sort();
    let cut = lines.len().saturating_sub(SHOWN);
    let mut text = String::new();
    for (t, line) in lines.iter().take(SHOWN) {
        let (sign, off) = if *t < from { ('-', from - t) } else { ('+', t - from) };
        text.push_str(&format!("    {sign}{:>9.3} ms  {line}\n", off as f64 / 1000.0));
    }
    if cut > 0 {
        text.push_str(&format!("    and {cut} lines more\n"));
    }
    text
}
