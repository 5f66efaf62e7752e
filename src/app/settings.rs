//! `windlass config check`: every setting, its value, and where it came from.

use serde::Serialize;

use crate::cli::{Failure, Output};
use crate::config::Config;

#[derive(Serialize)]
struct Row {
    setting: String,
    variable: &'static str,
    value: String,
    from: String,
}

/// Prints the merged settings. That they were loaded means that they can be used.
pub(super) fn check(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let mut rows: Vec<Row> = config
        .rows()
        .map(|(setting, value, origin)| Row {
            setting: setting.key.to_owned(),
            variable: setting.env,
            value,
            from: origin.to_string(),
        })
        .collect();
    let listed = config.provider_rows().into_iter();
    rows.extend(listed.map(|(setting, value, origin)| Row { setting, variable: "-", value, from: origin.to_string() }));
    out.table(&rows, &["SETTING", "VARIABLE", "VALUE", "FROM"], |rows| {
        rows.iter().map(|r| vec![r.setting.clone(), r.variable.to_owned(), r.value.clone(), r.from.clone()]).collect()
    })?;
    match &config.llm {
        Some(llm) => out.note(&format!("the settings can be used; the list prices of models are of {}", llm.prices)),
        None => out.note("the settings can be used"),
    }
}
