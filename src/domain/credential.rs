//! Credentials of workspaces: what one is for, what it holds, and how it stands.

use secrecy::SecretString;

use super::failure::words;

words! {
    /// What a credential is for.
    CredentialKind {
        /// OAuth2 at Google: Gmail, Google Tasks.
        Google = "google",
        /// OAuth2 at Microsoft: Graph mail, To Do.
        Microsoft = "microsoft",
        /// A token of GitHub.
        Github = "github",
        /// A mail server with a login.
        Smtp = "smtp",
        /// Keys that sign webhooks.
        Webhook = "webhook",
        /// A header for an HTTP API.
        HttpHeader = "http_header",
    }
}

words! {
    /// Whether a credential can be used, as far as is known.
    CredentialState {
        /// Nothing speaks against it.
        Ok = "ok",
        /// Its provider refuses it: someone has to replace it. Jobs that need it are held until then.
        NeedsReauth = "needs_reauth",
    }
}

words! {
    /// How a connection to a mail server is protected.
    SmtpSecurity {
        /// TLS from the first byte.
        Tls = "tls",
        /// `STARTTLS`, required.
        StartTls = "starttls",
        /// None: for servers on this machine or in this network.
        None = "none",
    }
}

/// The secret part of a credential. It has no `Debug`, and leaves a process only sealed.
#[derive(Clone)]
pub enum Material {
    /// OAuth2 at Google or Microsoft.
    OAuth(OAuth),
    /// A token that is sent as it is.
    Token(SecretString),
    /// A mail server.
    Smtp(SmtpLogin),
    /// Keys that sign webhooks, the current one first.
    Signing(Vec<SecretString>),
    /// A header that authenticates at one host.
    Header(HeaderValue),
}

/// OAuth2: what access tokens are asked for with, and the latest one.
#[derive(Clone, Default)]
pub struct OAuth {
    /// The application's id; empty for a bare access token.
    pub client_id: String,
    /// The application's secret; public clients have none.
    pub client_secret: Option<SecretString>,
    /// What new access tokens are asked for with. Without one, `client_secret` alone (Microsoft), or nothing: then the
    /// access token is bare, and cannot be renewed.
    pub refresh_token: Option<SecretString>,
    /// The directory at Microsoft.
    pub tenant: Option<String>,
    /// The latest access token.
    pub access_token: Option<SecretString>,
}

impl OAuth {
    /// Whether a new access token can be asked for.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        !self.client_id.is_empty() && (self.refresh_token.is_some() || self.client_secret.is_some())
    }
}

/// A mail server.
#[derive(Clone)]
pub struct SmtpLogin {
    /// Host name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// Login, if the server wants one.
    pub login: Option<(String, SecretString)>,
}

/// A header that authenticates at one host.
#[derive(Clone)]
pub struct HeaderValue {
    /// The host it may be sent to.
    pub host: String,
    /// Header name.
    pub name: String,
    /// Header value.
    pub value: SecretString,
}
