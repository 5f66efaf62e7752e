//! The one table that a run ends with.

/// Rows of figure, measured value, goal and detail.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn row(&mut self, figure: &str, measured: &str, goal: &str, detail: &str) {
        eprintln!("  {figure}: {measured}");
        self.rows.push([figure, measured, goal, detail].map(str::to_owned));
    }

    pub(crate) fn print(&self) {
        let head = ["figure", "measured", "goal", "detail"].map(str::to_owned);
        let width = |column: usize| {
            self.rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2)];
        let line = |row: &[String; 4]| {
            let [a, b, c, d] = row;
            println!("{a:<0$}  {b:>1$}  {c:<2$}  {d}", widths[0], widths[1], widths[2]);
        };
        println!();
        line(&head);
        self.rows.iter().for_each(line);
    }
}

/// Nanoseconds as microseconds with one decimal.
pub(crate) fn microseconds(ns: f64) -> String {
    format!("{:.1}", ns / 1000.0)
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The middle one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
