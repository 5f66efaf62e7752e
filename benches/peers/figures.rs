//! What was measured, by system and measure, one value a round.

use std::collections::BTreeMap;

/// What is measured, and under which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Jobs a second.
    Single(Case),
    Bulk(Case),
    Process(Case),
    /// Microseconds of Redis a job.
    SingleCost(Case),
    BulkCost(Case),
    ProcessCost(Case),
    /// Microseconds of the system's own processes a job.
    SingleClient(Case),
    ProcessClient(Case),
    /// Microseconds on an idle queue: to the start of the handler, and of an enqueue alone.
    StartP50,
    StartP99,
    TripP50,
    TripP99,
    /// Commands of clients a job.
    CommandsIn,
    CommandsOut,
    /// Bytes of a job in line.
    Bytes,
}

/// The base case and what differs from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    Base,
    Aof,
    Delay,
    Large,
    Deep,
    Workspaces(usize),
}

/// All values; systems by their place in the list, ours is 0.
#[derive(Default)]
pub(crate) struct Figures {
    values: BTreeMap<(usize, Measure), Vec<f64>>,
}

impl Figures {
    pub(crate) fn add(&mut self, system: usize, measure: Measure, value: f64) {
        self.values.entry((system, measure)).or_default().push(value);
    }

    pub(crate) fn median(&self, system: usize, measure: Measure) -> Option<f64> {
        median(self.values.get(&(system, measure))?.clone())
    }

    /// Median, least and greatest of the rounds' ratios of two series that were measured in turn.
    pub(crate) fn ratio(&self, over: (usize, Measure), under: (usize, Measure)) -> Option<[f64; 3]> {
        let pairs = self.values.get(&over)?.iter().zip(self.values.get(&under)?);
        let ratios: Vec<f64> = pairs.map(|(over, under)| over / under).filter(|ratio| ratio.is_finite()).collect();
        let least = ratios.iter().copied().reduce(f64::min)?;
        let greatest = ratios.iter().copied().reduce(f64::max)?;
        Some([median(ratios)?, least, greatest])
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The value below which `share` of them lie.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}
