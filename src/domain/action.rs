//! What the rules for actions go by.

/// What a job would do outside, as far as rules can limit it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionFacts {
    /// Every address that gets a mail, `local@domain`.
    pub recipients: Vec<String>,
    /// `owner/name` of a repository it changes.
    pub repository: Option<String>,
    /// The host it calls, when the input names one; lower case, without a port.
    pub host: Option<String>,
    /// Bytes it sends, attachments included.
    pub bytes: usize,
}
