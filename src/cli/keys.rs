//! `windlass keys …`.

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;
use crate::api::key::{CreateKey, KeyView};
use crate::client::Client;

/// Create, list and revoke API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Create a key and print it; it is never shown again
    #[command(after_help = "Example:
  windlass keys create --workspace acme --scope jobs:read --scope jobs:write > acme.key

Scopes: jobs:read jobs:write queue:operate workspace:admin system:admin")]
    Create {
        /// Workspace, or `*` for all
        #[arg(long)]
        workspace: String,
        /// jobs:read, jobs:write, queue:operate, workspace:admin or system:admin; may be repeated
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// A name for people; recorded with what the key does
        #[arg(long)]
        name: Option<String>,
    },
    /// List keys, without the keys themselves
    List,
    /// Revoke keys by their public id
    Revoke {
        /// Ids from `keys list`
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Runs one of the commands.
pub(super) async fn run(command: KeysCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        KeysCommand::Create { workspace, scopes, name } => {
            let created = client.create_key(&CreateKey { workspace, scopes, name }).await?;
            let (id, workspace) = (&created.view.id, &created.view.workspace);
            out.note(&format!("key {id} for {workspace}; it is not shown again:"))?;
            out.text(&created, |created| super::output::clean(&created.key))
        }
        KeysCommand::List => {
            let list = client.keys().await?;
            let header = ["KEY", "NAME", "WORKSPACE", "SCOPES", "CREATED", "REVOKED"];
            out.table(&list, &header, |list| list.keys.iter().map(row).collect())
        }
        KeysCommand::Revoke { ids } => {
            for id in &ids {
                client.revoke_key(id).await?;
                out.note(&format!("{} is revoked", super::output::clean(id)))?;
            }
            if out.is_json() { out.json(&serde_json::json!({"revoked": ids})) } else { Ok(()) }
        }
    }
}

fn row(key: &KeyView) -> Vec<String> {
    vec![
        key.id.clone(),
        key.name.clone(),
        key.workspace.clone(),
        key.scopes.join(","),
        key.created_at.clone(),
        key.revoked_at.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
