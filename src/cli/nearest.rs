//! What was probably meant by a name that nothing has.

use crate::client::Client;
use crate::domain::QueueName;

/// Less alike than this, a name is another name.
const ALIKE: f64 = 0.7;

/// A sentence when there is no such queue, with the one that was probably meant; `None` when there is, and when it
/// cannot be found out.
pub(super) async fn missing_queue(client: &Client, queue: &QueueName) -> Option<String> {
    let names: Vec<String> = client.queues().await.ok()?.queues.into_iter().map(|queue| queue.name).collect();
    if names.iter().any(|name| name == queue.as_str()) {
        return None;
    }
    let meant = nearest(queue.as_str(), &names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Some(format!("there is no queue {queue}{meant} (`windlass queues list`)"))
}

/// The name most like this one, if there is one.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let alike = names.iter().map(|other| (strsim::jaro_winkler(name, other), other.as_str()));
    let (likeness, other) = alike.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness >= ALIKE).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let names = ["default", "mail", "reports"].map(str::to_owned);
        assert_eq!(nearest("mial", &names), Some("mail"));
        assert_eq!(nearest("defualt", &names), Some("default"));
        assert_eq!((nearest("zzz", &names), nearest("x", &[])), (None, None));
    }
}
