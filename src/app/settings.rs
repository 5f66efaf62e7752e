//! `windlass config check`: every setting, its value, and where it came from.

use serde::Serialize;

use crate::cli::{Failure, Output};
use crate::config::Config;

#[derive(Serialize)]
struct Row {
    setting: &'static str,
    variable: &'static str,
    value: String,
    from: String,
}

/// Prints the merged settings. That they were loaded means that they can be used.
pub(super) fn check(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let rows: Vec<Row> = config
        .rows()
        .map(|(setting, value, origin)| Row {
            setting: setting.key,
            variable: setting.env,
            value,
            from: origin.to_string(),
        })
        .collect();
    out.table(&rows, &["SETTING", "VARIABLE", "VALUE", "FROM"], |rows| {
        rows.iter()
            .map(|r| vec![r.setting.to_owned(), r.variable.to_owned(), r.value.clone(), r.from.clone()])
            .collect()
    })?;
    out.note("the settings can be used")
}
