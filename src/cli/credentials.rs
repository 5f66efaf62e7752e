//! `windlass credentials …`. Secrets come from a file or from standard input: command lines are visible to others.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::failure::{Code, Failure};
use super::output::{Output, clean};
use crate::api::credential::{CredentialRotation, CredentialView, PutCredential, RotateCredentials};
use crate::client::Client;
use crate::domain::{CredentialName, Workspace};

/// The largest file of secrets; the server takes no more.
const FILE_LIMIT: u64 = 16 * 1024;

/// Add, list, test, remove and re-encrypt credentials of workspaces.
#[derive(Debug, Subcommand)]
pub enum CredentialsCommand {
    /// Store a credential, in the place of one of that name; its secrets come from standard input or a file
    #[command(after_help = "What is secret comes as JSON, or as plain text where there is one secret:
  google, microsoft   {\"client_secret\":\"…\",\"refresh_token\":\"…\"}, or {\"access_token\":\"…\"} alone
  github              the token
  smtp                the password
  webhook             keys, one a line, the current one first
  http_header         the header's value

Examples:
  windlass credentials add gmail --workspace acme --kind google --client-id ID \\
      --account me@example.org < secrets.json
  windlass credentials add default --workspace acme --kind github --secret-file token
  windlass credentials add mail --workspace acme --kind smtp --host mail.example.org \\
      --username me < password")]
    Add(Box<AddArgs>),
    /// List credentials, without what is secret in them
    List {
        /// Workspace
        #[arg(long)]
        workspace: Workspace,
    },
    /// Have a worker check a credential now, without an effect; fails when it is not accepted
    Test {
        /// The credential
        name: CredentialName,
        /// Workspace
        #[arg(long)]
        workspace: Workspace,
    },
    /// Remove a credential
    Remove {
        /// The credential
        name: CredentialName,
        /// Workspace
        #[arg(long)]
        workspace: Workspace,
    },
    /// Seal all credentials of all workspaces anew under the server's current key
    Rotate,
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Kind {
    /// OAuth2 at Google.
    Google,
    /// OAuth2 at Microsoft.
    Microsoft,
    /// A token of GitHub.
    Github,
    /// A mail server.
    Smtp,
    /// Keys that sign webhooks.
    Webhook,
    /// A header for an HTTP API.
    HttpHeader,
}

/// A credential, but for its secrets.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Its name; actions that name none mean `default`
    name: CredentialName,
    /// Workspace
    #[arg(long)]
    workspace: Workspace,
    /// What it is for
    #[arg(long, value_enum)]
    kind: Kind,
    /// Whose account it is, such as me@example.org; for smtp, the sender of mails that name none
    #[arg(long)]
    account: Option<String>,
    /// What it may do; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// google, microsoft: the application's id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// microsoft: the directory, by id or domain
    #[arg(long)]
    tenant: Option<String>,
    /// smtp: the server; http_header: the host it may be sent to
    #[arg(long)]
    host: Option<String>,
    /// smtp: the port
    #[arg(long)]
    port: Option<u16>,
    /// smtp: tls, starttls or none
    #[arg(long)]
    security: Option<String>,
    /// smtp: the login
    #[arg(long)]
    username: Option<String>,
    /// http_header: the header's name
    #[arg(long)]
    header: Option<String>,
    /// File that holds the secrets [default: standard input]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

/// What may stand in a file of secrets.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Secrets {
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    access_token: Option<String>,
    token: Option<String>,
    password: Option<String>,
    keys: Vec<String>,
    value: Option<String>,
}

/// Runs one of the commands.
pub(super) async fn run(command: CredentialsCommand, client: &Client, out: &mut Output) -> Result<(), Failure> {
    match command {
        CredentialsCommand::Add(args) => add(*args, client, out).await,
        CredentialsCommand::List { workspace } => {
            let list = client.credentials(&workspace).await?;
            let header = ["NAME", "KIND", "ACCOUNT", "STATE", "REASON", "KEY", "UPDATED", "TOKEN ENDS"];
            out.table(&list, &header, |list| list.credentials.iter().map(row).collect())
        }
        CredentialsCommand::Test { name, workspace } => {
            let check = client.test_credential(&workspace, &name).await?;
            let word = match check.accepted {
                Some(true) => "accepted",
                Some(false) => "not accepted",
                None => "not known",
            };
            out.text(&check, |check| format!("{name}: {word}: {}", clean(&check.detail)))?;
            match check.accepted {
                Some(false) => Err(Failure::new(Code::Failure, "the credential is not accepted")
                    .hint("`windlass credentials add` replaces it, and the jobs that are held for it go on")),
                _ => Ok(()),
            }
        }
        CredentialsCommand::Remove { name, workspace } => {
            client.remove_credential(&workspace, &name).await?;
            let gone = serde_json::json!({"removed": name.to_string(), "workspace": workspace.to_string()});
            out.done(&gone, &format!("{name} is removed"))
        }
        CredentialsCommand::Rotate => rotate(client, out).await,
    }
}

async fn add(args: AddArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    // A mail server without a login has no secret.
    let none = args.kind == Kind::Smtp && args.username.is_none() && args.secret_file.is_none();
    let text = if none { Zeroizing::default() } else { read(args.secret_file.as_deref())? };
    let (name, workspace) = (args.name.clone(), args.workspace.clone());
    let stored = client.put_credential(&workspace, &name, &body(args, secrets(&text)?, &text)).await?;
    out.text(&stored, |stored| format!("{name} is stored, sealed with key {}", clean(&stored.credential.key_id)))?;
    if stored.released_jobs > 0 {
        out.note(&format!("{} jobs that waited for it are in line again", stored.released_jobs))?;
    }
    if stored.more_held {
        out.note("more waited; an operation of `windlass` puts them back in line")?;
    }
    Ok(())
}

fn read(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(FILE_LIMIT as usize + 1));
    let (done, place) = match file {
        Some(path) => {
            let read = std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_string(&mut text));
            (read, path.display().to_string())
        }
        None => (std::io::stdin().lock().take(FILE_LIMIT + 1).read_to_string(&mut text), "standard input".to_owned()),
    };
    done.map_err(|error| Failure::new(Code::Usage, format_args!("cannot read {place}: {error}")))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(Failure::new(Code::Usage, format_args!("{place} is longer than {FILE_LIMIT} bytes")));
    }
    if text.trim().is_empty() {
        let failure = Failure::new(Code::Usage, format_args!("{place} holds no secret"));
        return Err(failure.hint("`windlass credentials add --help` says what belongs there"));
    }
    Ok(text)
}

/// What the text says, if it is JSON. Its errors name a place and never the text.
fn secrets(text: &str) -> Result<Option<Secrets>, Failure> {
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    let bad = |error: serde_json::Error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::new(Code::Usage, format_args!("the secrets are not JSON with known fields ({place})"))
            .hint("`windlass credentials add --help` says what belongs there")
    };
    serde_json::from_str(text).map(Some).map_err(bad)
}

fn body(args: AddArgs, secrets: Option<Secrets>, text: &str) -> PutCredential {
    let secrets = secrets.unwrap_or_else(|| {
        let one = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match args.kind {
            Kind::Google | Kind::Microsoft => Secrets { refresh_token: one, ..Secrets::default() },
            Kind::Github => Secrets { token: one, ..Secrets::default() },
            Kind::Smtp => Secrets { password: one, ..Secrets::default() },
            Kind::HttpHeader => Secrets { value: one, ..Secrets::default() },
            Kind::Webhook => {
                Secrets { keys: text.split_whitespace().map(str::to_owned).collect(), ..Secrets::default() }
            }
        }
    });
    let kind = args.kind.to_possible_value().map(|value| value.get_name().to_owned());
    PutCredential {
        kind: kind.unwrap_or_default(),
        account: args.account,
        scopes: args.scopes,
        client_id: args.client_id.or(secrets.client_id),
        client_secret: secrets.client_secret,
        refresh_token: secrets.refresh_token,
        access_token: secrets.access_token,
        tenant: args.tenant,
        token: secrets.token,
        host: args.host,
        port: args.port,
        security: args.security,
        username: args.username,
        password: secrets.password,
        keys: secrets.keys,
        header: args.header,
        value: secrets.value,
    }
}

async fn rotate(client: &Client, out: &mut Output) -> Result<(), Failure> {
    let mut all = CredentialRotation::default();
    let mut step = RotateCredentials::default();
    loop {
        let done = client.rotate_credentials(&step).await?;
        all.resealed += done.resealed;
        all.current += done.current;
        all.unreadable += done.unreadable;
        step.from = done.next;
        if step.from.is_none() {
            break;
        }
    }
    out.text(&all, |all| {
        format!("{} sealed anew, {} were already, {} stay unreadable", all.resealed, all.current, all.unreadable)
    })?;
    if all.unreadable > 0 {
        let failure = Failure::new(Code::Failure, "no key of the server opens some of the credentials");
        return Err(failure.hint("put the key that sealed them into CREDENTIALS_OLD_KEYS, or add them anew"));
    }
    Ok(())
}

fn row(credential: &CredentialView) -> Vec<String> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        credential.name.clone(),
        credential.kind.clone(),
        or_none(&credential.account),
        credential.state.clone(),
        or_none(&credential.reason),
        credential.key_id.clone(),
        credential.updated_at.clone(),
        or_none(&credential.expires_at),
    ]
}
