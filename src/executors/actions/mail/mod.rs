//! Mail: `gmail.send`, `smtp.send` and `outlook.send`. One input, three ways out.

mod address;
mod bearer;
mod compose;
mod draft;
mod gmail;
mod gmail_failure;
mod graph_failure;
mod graph_message;
mod input;
mod options;
mod outlook;
mod receipt;
mod refusal;
mod schema;
mod smtp;
mod smtp_address;
mod smtp_session;
mod text;

pub use gmail::GmailSend;
pub use options::{MailOptions, MailSetupError};
pub use outlook::OutlookSend;
pub use smtp::SmtpSend;
