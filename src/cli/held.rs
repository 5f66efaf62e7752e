//! `windlass jobs approve`, `reject`, `resolve` and `effects`.

use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use super::failure::{Code, Failure};
use super::output::{Output, facts};
use crate::api::held::{Approve, EffectView, EffectsView, Outcome, Reason, Resolve};
use crate::api::job::JobView;
use crate::client::Client;
use crate::domain::JobId;

/// Decisions about held jobs.
#[derive(Debug, Subcommand)]
pub enum HeldCommand {
    /// Show what a job would do and what is on record of its effects
    Effects {
        /// The job's id
        job: JobId,
    },
    /// Approve a job that waits for it: shows exactly what it would do, and approves that with --yes
    #[command(after_help = "Examples:
  windlass jobs approve 01dVmX8Y1uj8y5I0EHlEd0
  windlass jobs approve 01dVmX8Y1uj8y5I0EHlEd0 --yes --digest 3f7a... --note 'asked the customer'")]
    Approve {
        /// The job's id
        job: JobId,
        /// Approve what is shown
        #[arg(long)]
        yes: bool,
        /// Approve only these arguments, as they were shown before
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        /// Why, for the record
        #[arg(long)]
        note: Option<String>,
    },
    /// Reject a job that waits for its approval; it is cancelled
    Reject {
        /// The job's id
        job: JobId,
        /// Why, for the record
        #[arg(long)]
        reason: Option<String>,
    },
    /// Say what became of an effect that nobody could tell of
    Resolve(ResolveArgs),
}

/// Options of `jobs resolve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass jobs resolve 01dVmX8Y1uj8y5I0EHlEd0 not_happened
  windlass jobs resolve 01dVmX8Y1uj8y5I0EHlEd0 happened --receipt '{\"message_id\":\"42\"}'")]
pub struct ResolveArgs {
    /// The job's id
    job: JobId,
    /// happened: never done again; not_happened: done now; discard: the job is cancelled
    #[arg(value_parser = Outcome::ALL.map(|(_, word)| word))]
    outcome: String,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    /// With `happened`: what proves it, as JSON
    #[arg(long, value_name = "JSON")]
    receipt: Option<String>,
}

/// Runs one of the commands.
pub(super) async fn run(command: HeldCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        HeldCommand::Effects { job } => out.text(&client.effects(job).await?, describe),
        HeldCommand::Approve { job, yes, digest, note } => approve(job, (yes, digest, note), client, out).await,
        HeldCommand::Reject { job, reason } => told(out, &client.reject(job, &Reason { reason }).await?),
        HeldCommand::Resolve(args) => resolve(args, client, out).await,
    }
}

fn told(out: &mut Output, job: &JobView) -> Result<(), Failure> {
    out.text(job, |job| format!("{} {}", job.id, job.state))
}

async fn approve(
    job: JobId,
    (yes, wanted, note): (bool, Option<String>, Option<String>),
    client: &Client,
    out: &mut Output,
) -> Result<(), Failure> {
    let effects = client.effects(job).await?;
    let digest = effects.digest.clone().unwrap_or_default();
    out.note(&describe(&effects))?;
    if wanted.as_ref().is_some_and(|wanted| *wanted != digest) {
        let said = "the job's arguments have another digest than --digest says; nothing was approved";
        return Err(Failure::new(Code::Refused, said));
    }
    if !yes {
        let said = "nothing was approved yet: this would be done as it stands above";
        return Err(
            Failure::new(Code::Usage, said).hint(format!("windlass jobs approve {job} --yes --digest {digest}"))
        );
    }
    told(out, &client.approve(job, &Approve { digest, note }).await?)
}

async fn resolve(args: ResolveArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    let receipt = args.receipt.map(RawValue::from_string).transpose();
    let receipt = receipt.map_err(|e| Failure::new(Code::Usage, format_args!("--receipt is not JSON: {e}")))?;
    let resolution = Resolve { outcome: args.outcome, reason: args.reason, receipt };
    told(out, &client.resolve(args.job, &resolution).await?)
}

fn describe(view: &EffectsView) -> String {
    let mut rows = vec![
        ("job", view.job_id.clone()),
        ("state", view.held_reason.as_ref().map_or(view.state.clone(), |why| format!("{} ({why})", view.state))),
        ("workspace", view.workspace.clone()),
        ("type", view.job_type.clone()),
    ];
    rows.extend(view.held_since.clone().map(|at| ("held since", at)));
    rows.extend(view.approve_until.clone().map(|at| ("approve", format!("until {at}"))));
    rows.extend(
        view.approval.as_ref().map(|a| ("approved", format!("by {} at {}, good until {}", a.by, a.at, a.expires_at))),
    );
    rows.extend(view.digest.clone().map(|digest| ("digest", digest)));
    rows.extend(view.effects.iter().map(|effect| ("effect", line(effect))));
    let mut text = vec![facts(&rows)];
    if let Some(input) = &view.input {
        text.push("arguments".to_owned());
        text.push(pretty(input));
    }
    text.join("\n")
}

fn line(effect: &EffectView) -> String {
    let by = effect.decided_by.as_ref().map(|by| format!(", as {by} says")).unwrap_or_default();
    let lost = if effect.state_lost { ", and Redis lost state since" } else { "" };
    let what = format!("{} is {} ({}), attempt {}", effect.step, effect.state, effect.class, effect.attempt);
    format!("{what} at {}{by}{lost}: {}", effect.at, effect.evidence.get())
}

/// All of the arguments, on lines that a person can read, without what could move a terminal's cursor.
fn pretty(input: &RawValue) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(input.get());
    let text = value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| input.get().to_owned());
    crate::domain::clip_text(&text, text.len())
}
