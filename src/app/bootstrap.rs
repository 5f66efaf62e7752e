//! The first key: made once, when there is none and the settings name none.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::http::mint_key;
use crate::store::{Shards, StoreError};

/// Between attempts while Redis is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Mints a system key if no key exists at all, waiting for Redis as long as it takes. Of several
/// processes that start together, one gets to make it.
pub(super) async fn first_key(store: &Shards, shutdown: &CancellationToken) -> Option<SecretString> {
    loop {
        match try_once(store).await {
            Ok(key) => return key,
            Err(error) => tracing::debug!(%error, "the first key has to wait for Redis"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn try_once(store: &Shards) -> Result<Option<SecretString>, StoreError> {
    if !store.keys().await?.is_empty() {
        return Ok(None);
    }
    let (key, record) = mint_key("*", &["system:admin"], "bootstrap", store.now().await?);
    Ok(store.put_first_key(&record).await?.then_some(key))
}

/// Says the key once, on stderr: the log on stdout is shipped to where others read it.
pub(super) fn announce(key: &SecretString) -> Result<(), StartError> {
    use std::io::Write;
    let text = format!(
        "\nThis is the first start: no API key exists, so one was made. It is not shown again.\n\n  \
         WINDLASS_API_KEY={}\n\nMake narrower ones with `windlass keys create`, then revoke it.\n\n",
        key.expose_secret()
    );
    std::io::stderr().lock().write_all(text.as_bytes()).map_err(StartError::part)
}
