//! One conversation with a mail server, of which it is known how far it came.
//!
//! RFC 5321 §4.1.1.4: the server takes the mail over when it has read the line with the dot and answered 250. Whatever
//! breaks before our dot has sent nothing. From the dot to its answer nobody can tell.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::domain::{FailureReason, clip_text};
use crate::engine::{EffectFailure, ExecutionError, Step};
use crate::executors::actions::{Lookup, SmtpSecurity};

use super::smtp_address::{ResolveError, resolve};

/// How long a server is given to take note of the end of a conversation.
const GOODBYE: Duration = Duration::from_secs(2);

/// A mail server, as its credential has it.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) security: SmtpSecurity,
    pub(super) login: Option<&'a (String, SecretString)>,
}

/// What is handed over.
pub(super) struct Parcel<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a [Address],
    /// ASCII with CRLF at the end of every line.
    pub(super) message: &'a [u8],
}

/// Why nothing was handed over.
pub(super) enum Obstacle {
    /// The server refuses the login.
    Login(String),
    /// Anything else.
    Other(ExecutionError),
}

/// Everything before the mail itself: connects, protects the connection, logs in, names sender and recipients. One
/// recipient that is refused refuses the mail.
///
/// # Errors
/// [`Obstacle`]; nothing was sent.
pub(super) async fn prepare(
    server: &Server<'_>,
    lookup: &dyn Lookup,
    parcel: &Parcel<'_>,
    bound: Duration,
) -> Result<AsyncSmtpConnection, Obstacle> {
    let too_slow = |_| {
        let why = "the mail server was too slow; nothing was sent";
        Obstacle::Other(ExecutionError::retryable(FailureReason::Timeout, why))
    };
    timeout(bound, open(server, lookup, parcel, bound)).await.map_err(too_slow)?
}

async fn open(
    server: &Server<'_>,
    lookup: &dyn Lookup,
    parcel: &Parcel<'_>,
    bound: Duration,
) -> Result<AsyncSmtpConnection, Obstacle> {
    let mut connection = connect(server, lookup, bound).await.map_err(Obstacle::Other)?;
    // A connection whose handshake failed is only dropped: lettre panics when it is spoken to.
    protect(server, &mut connection).await.map_err(Obstacle::Other)?;
    let done = introduce(server, &mut connection, parcel).await;
    if done.is_err() {
        goodbye(connection.abort()).await;
    }
    done.map(|()| connection)
}

async fn connect(
    server: &Server<'_>,
    lookup: &dyn Lookup,
    bound: Duration,
) -> Result<AsyncSmtpConnection, ExecutionError> {
    let addresses = resolve(lookup, server.host, server.port).await.map_err(|error| match error {
        ResolveError::NotFound(_) => ExecutionError::retryable(FailureReason::Error, error),
        ResolveError::Refused(_) => ExecutionError::permanent(FailureReason::NotAllowed, error),
    })?;
    let tls = match server.security {
        SmtpSecurity::Tls => Some(tls_of(server)?),
        SmtpSecurity::StartTls | SmtpSecurity::None => None,
    };
    let mut failed = None;
    for address in addresses {
        let hello = ClientId::default();
        match AsyncSmtpConnection::connect_tokio1(address, Some(bound), &hello, tls.clone(), None).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = Some(failure("the connection", &error)),
        }
    }
    Err(failed.unwrap_or_else(|| ExecutionError::retryable(FailureReason::Error, "the mail server has no address")))
}

fn tls_of(server: &Server<'_>) -> Result<TlsParameters, ExecutionError> {
    TlsParameters::new_rustls(server.host.to_owned()).map_err(|error| failure("TLS", &error))
}

async fn protect(server: &Server<'_>, connection: &mut AsyncSmtpConnection) -> Result<(), ExecutionError> {
    if server.security != SmtpSecurity::StartTls {
        return Ok(());
    }
    if !connection.can_starttls() {
        goodbye(connection.quit()).await;
        let why = "the mail server offers no STARTTLS, which its credential requires; nothing was sent";
        return Err(ExecutionError::permanent(FailureReason::Permanent, why));
    }
    let protected = connection.starttls(tls_of(server)?, &ClientId::default()).await;
    protected.map_err(|error| failure("STARTTLS", &error))
}

async fn introduce(
    server: &Server<'_>,
    connection: &mut AsyncSmtpConnection,
    parcel: &Parcel<'_>,
) -> Result<(), Obstacle> {
    if let Some((user, password)) = server.login {
        let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
        let known = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
        expect("the login", known, Severity::PositiveCompletion).map_err(|(code, error)| match code {
            // 530, 534, 535, 538 and what else RFC 4954 §6 has; 4xx is a server in trouble.
            Some(500..) => Obstacle::Login(error.message),
            _ => Obstacle::Other(error),
        })?;
    }
    let other = |(_, error): (Option<u16>, ExecutionError)| Obstacle::Other(error);
    let taken = connection.command(Mail::new(Some(parcel.from.clone()), Vec::new())).await;
    expect(&format!("the sender {}", parcel.from), taken, Severity::PositiveCompletion).map_err(other)?;
    for address in parcel.to {
        let taken = connection.command(Rcpt::new(address.clone(), Vec::new())).await;
        expect(&format!("the recipient {address}"), taken, Severity::PositiveCompletion).map_err(other)?;
    }
    let ready = connection.command(Data).await;
    expect("the mail", ready, Severity::PositiveIntermediate).map_err(other)
}

/// Hands the mail over; returns what the server said to it.
///
/// # Errors
/// `Unknown` when the line with the dot may have gone out and no whole answer came.
pub(super) async fn hand_over(
    mut connection: AsyncSmtpConnection,
    parcel: &Parcel<'_>,
    step: &Step<'_>,
    bound: Duration,
) -> Result<String, EffectFailure> {
    // Without the dot the server drops what it has.
    step.may_go()?;
    // lettre asks for the next part when the one before is written; after the last comes the dot.
    let dot = AtomicBool::new(false);
    let end = std::iter::from_fn(|| {
        dot.store(true, Ordering::Relaxed);
        None
    });
    let answer = timeout(bound, connection.message_iter(std::iter::once(parcel.message).chain(end))).await;
    let dot = dot.load(Ordering::Relaxed);
    let unclear = |reason: FailureReason, why: &str| {
        let error = |tail: &str| ExecutionError::retryable(reason, format_args!("{why}{tail}"));
        if dot {
            EffectFailure::Unknown(error(" after the whole mail was sent; it may have been delivered"))
        } else {
            EffectFailure::NotDone(error(" before the whole mail was sent; nothing was delivered"))
        }
    };
    match answer {
        Err(_) => Err(unclear(FailureReason::Timeout, "the mail server did not answer in time")),
        Ok(Ok(response)) if response.code().severity == Severity::PositiveCompletion => {
            goodbye(connection.quit()).await;
            Ok(words(&response))
        }
        Ok(Ok(_)) => Err(unclear(FailureReason::Error, "the mail server's answer makes no sense")),
        Ok(Err(error)) if error.status().is_some() => {
            goodbye(connection.abort()).await;
            // RFC 5321 §4.2.1: a negative answer means that the server did not take it.
            Err(EffectFailure::NotDone(failure("the mail", &error)))
        }
        Ok(Err(_)) => Err(unclear(FailureReason::Error, "the connection to the mail server broke")),
    }
}

async fn goodbye(said: impl Future) {
    drop(timeout(GOODBYE, said).await);
}

/// An answer of the wanted kind, or the refusal with its code.
fn expect(
    what: &str,
    answer: Result<Response, SmtpError>,
    wanted: Severity,
) -> Result<(), (Option<u16>, ExecutionError)> {
    match answer {
        Ok(response) if response.code().severity == wanted => Ok(()),
        Ok(response) => {
            let why = format!("the mail server answered {} to {what}, which makes no sense here", response.code());
            Err((None, ExecutionError::retryable(FailureReason::Error, why)))
        }
        Err(error) => Err((error.status().map(u16::from), failure(what, &error))),
    }
}

/// A server's answer or a broken connection, before anything was sent. The server's words are not repeated: they quote
/// logins and mails.
fn failure(what: &str, error: &SmtpError) -> ExecutionError {
    match error.status() {
        Some(code) if error.is_permanent() => {
            ExecutionError::permanent(FailureReason::Permanent, format_args!("the mail server refused {what} ({code})"))
        }
        Some(code) => {
            ExecutionError::retryable(FailureReason::Error, format_args!("the mail server put {what} off ({code})"))
        }
        None if error.is_client() => {
            let why = format!("the mail server cannot do what {what} needs: {}", cause(error));
            ExecutionError::permanent(FailureReason::Permanent, why)
        }
        None if error.is_timeout() => {
            ExecutionError::retryable(FailureReason::Timeout, format_args!("{what}: the mail server was too slow"))
        }
        None => ExecutionError::retryable(FailureReason::Error, format_args!("{what} failed: {}", cause(error))),
    }
}

/// The innermost sentence: of the network or of TLS, never of the server.
fn cause(error: &SmtpError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    clip_text(&cause.to_string(), 200)
}

fn words(response: &Response) -> String {
    clip_text(&response.message().collect::<Vec<_>>().join(" "), 200)
}
