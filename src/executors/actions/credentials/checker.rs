//! Checks of credentials on demand, without an effect: what would an action meet?

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::renewal::{Opened, Renewer, Wanted};
use crate::domain::{CredentialState, Material};
use crate::engine::tasks;
use crate::executors::actions::VaultError;
use crate::executors::outbound::root_cause;
use crate::store::{CredentialRecord, PutCredential, Verification, Verified};

/// Bound on one question to a provider.
const PATIENCE: Duration = Duration::from_secs(8);

/// Checks credentials for the fleet: of all workers that are told, one takes a demand on.
#[derive(Debug)]
pub struct CredentialChecker {
    renewer: Arc<Renewer>,
    github: String,
}

impl CredentialChecker {
    pub(super) fn new(renewer: Arc<Renewer>, github: &str) -> Self {
        Self { renewer, github: github.trim_end_matches('/').to_owned() }
    }

    /// Meets the demands that come in over `asked`, until `shutdown`.
    pub fn start(self, mut asked: mpsc::Receiver<Verification>, shutdown: CancellationToken) {
        let checker = Arc::new(self);
        tasks::spawn("credential-checks", async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    Some(demand) = asked.recv() => {
                        let checker = Arc::clone(&checker);
                        tasks::spawn("credential-check", async move { checker.meet(&demand).await });
                    }
                }
            }
        });
    }

    /// Meets one demand, unless another worker does.
    pub async fn meet(&self, demand: &Verification) {
        let store = self.renewer.safe.store().credentials();
        match store.take_verification(demand).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::debug!(%error, "a demand to check a credential could not be taken on"),
        }
        let found = self.check(demand).await;
        if let Err(error) = store.verified(demand, &found).await {
            tracing::debug!(%error, "what a check of a credential found could not be recorded");
        }
    }

    async fn check(&self, demand: &Verification) -> Verified {
        let outcome = match self.renewer.load(&demand.workspace, &demand.name).await {
            Ok(opened) => self.ask(opened).await,
            Err(error) => Err(error),
        };
        outcome.unwrap_or_else(|error| {
            let accepted = matches!(error, VaultError::NeedsReauth(..)).then_some(false);
            Verified { accepted, detail: error.to_string() }
        })
    }

    async fn ask(&self, (record, material): Opened) -> Result<Verified, VaultError> {
        let said = |accepted, detail: &str| Ok(Verified { accepted, detail: detail.to_owned() });
        match material {
            Material::OAuth(oauth) if oauth.is_renewable() => {
                // The token that is there counts as refused, so that the provider is asked.
                let wanted = Wanted { refused: oauth.access_token, despite_state: true };
                self.renewer.usable(&record.workspace, &record.name, wanted).await?;
                said(Some(true), "its provider gave a new access token")
            }
            Material::OAuth(_) => said(None, "it opens; a bare access token is not renewed, only its use shows more"),
            Material::Token(token) => self.github(record, &token).await,
            Material::Smtp(_) => said(None, "it opens; its server was not asked, which the next mail will"),
            Material::Signing(_) | Material::Header(_) => said(None, "it opens; only its use shows more"),
        }
    }

    /// GitHub says whose token it is, which changes nothing:
    /// [get the authenticated user](https://docs.github.com/en/rest/users/users#get-the-authenticated-user).
    async fn github(&self, record: CredentialRecord, token: &SecretString) -> Result<Verified, VaultError> {
        let request = self.renewer.http.get(format!("{}/user", self.github));
        let request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        let request = request.header(ACCEPT, "application/vnd.github+json").timeout(PATIENCE);
        let answered = request.send().await;
        let status = answered
            .map_err(|error| VaultError::Unavailable(format!("GitHub cannot be reached: {}", root_cause(&error))))?;
        match status.status().as_u16() {
            200 => {
                self.clear(record).await;
                Ok(Verified { accepted: Some(true), detail: "GitHub accepts it".to_owned() })
            }
            401 => Err(self.renewer.doubt(record, "GitHub answered 401").await),
            // An app's token has no user; a limit is answered so too.
            403 => {
                let detail = "GitHub answered 403, as it does to the tokens of apps; only its use shows more";
                Ok(Verified { accepted: None, detail: detail.to_owned() })
            }
            other => Err(VaultError::Unavailable(format!("GitHub answered {other}"))),
        }
    }

    /// It is accepted after all: jobs may use it again.
    async fn clear(&self, record: CredentialRecord) {
        if record.state == CredentialState::Ok {
            return;
        }
        let well = CredentialRecord { state: CredentialState::Ok, reason: None, ..record };
        match self.renewer.safe.store().credentials().put_credential(&well).await {
            Ok(PutCredential::Stored(_)) => {}
            Ok(_) => tracing::debug!("a credential was changed while it was checked"),
            Err(error) => tracing::debug!(%error, "that a credential is accepted again could not be stored"),
        }
    }
}
