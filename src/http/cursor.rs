//! Cursors of lists: opaque, signed, and bound to the list they were issued for.
//!
//! A cursor is a position per shard and a MAC over these, the workspace and the filter. A forged
//! one, one of another workspace and one of another filter are refused alike; nothing in it names
//! anything, so it may be logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::store::{ListPlace, ListPosition, ListQuery};

/// Signs and checks cursors; replicas with the same secret accept each other's.
pub(super) struct Cursors {
    key: [u8; 32],
}

const POSITION: usize = 16;
const MAC: usize = 16;
/// Hours that no index has: nothing of the shard was listed yet, or all of it.
const START: i64 = i64::MIN;
const END: i64 = i64::MAX;

impl Cursors {
    pub(super) fn new(secret: &SecretString) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"windlass list cursor v1\0");
        digest.update(secret.expose_secret().as_bytes());
        Self { key: digest.finalize().into() }
    }

    pub(super) fn sign(&self, places: &[ListPlace], query: &ListQuery) -> String {
        let mut bytes = Vec::with_capacity(places.len() * POSITION + MAC);
        for place in places {
            let (hour, offset) = match place {
                ListPlace::Start => (START, 0),
                ListPlace::At(position) => (position.hour, position.offset),
                ListPlace::End => (END, 0),
            };
            bytes.extend(hour.to_be_bytes());
            bytes.extend(offset.to_be_bytes());
        }
        let mac = self.mac(&bytes, query);
        bytes.extend(mac.into_iter().take(MAC));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for anything that this server did not issue for this list over so many shards.
    pub(super) fn check(&self, cursor: &str, query: &ListQuery, shards: usize) -> Option<Vec<ListPlace>> {
        let length = shards * POSITION + MAC;
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().filter(|b| b.len() == length)?;
        let (places, mac) = bytes.split_at(shards * POSITION);
        let good = self.mac(places, query);
        if !bool::from(subtle::ConstantTimeEq::ct_eq(good.get(..MAC)?, mac)) {
            return None;
        }
        places.chunks_exact(POSITION).map(place).collect()
    }

    /// The page size is not part of the list: a client may change it between pages.
    fn mac(&self, position: &[u8], query: &ListQuery) -> Vec<u8> {
        // HMAC takes keys of any length, so there is nothing to handle.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Vec::new() };
        mac.update(position);
        let time = |t: Option<crate::domain::Timestamp>| t.map(|t| t.unix_ms().to_string());
        let filter = [
            Some(query.workspace.to_string()),
            query.state.map(|s| s.to_string()),
            query.job_type.as_ref().map(ToString::to_string),
            query.queue.as_ref().map(ToString::to_string),
            query.request_id.as_ref().map(ToString::to_string),
            time(query.created_after),
            time(query.created_before),
        ];
        for part in filter {
            // Length first, so that no two filters write the same bytes.
            let length = part.as_ref().map_or(u64::MAX, |p| p.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(part.unwrap_or_default().as_bytes());
        }
        mac.finalize().into_bytes().to_vec()
    }
}

fn place(bytes: &[u8]) -> Option<ListPlace> {
    let (hour, offset) = bytes.split_at_checked(8)?;
    let (hour, offset) = (i64::from_be_bytes(hour.try_into().ok()?), i64::from_be_bytes(offset.try_into().ok()?));
    Some(match hour {
        START => ListPlace::Start,
        END => ListPlace::End,
        hour => ListPlace::At(ListPosition { hour, offset }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobState, Workspace};

    fn query(workspace: &str) -> ListQuery {
        ListQuery {
            workspace: Workspace::new(workspace).expect("a name"),
            state: None,
            job_type: None,
            queue: None,
            request_id: None,
            created_after: None,
            created_before: None,
            limit: 50,
            from: None,
        }
    }

    const AT: &[ListPlace] = &[ListPlace::At(ListPosition { hour: 490_000, offset: 17 })];

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        let cursors = Cursors::new(&"secret".into());
        let cursor = cursors.sign(AT, &query("a"));
        assert_eq!(cursors.check(&cursor, &query("a"), 1).as_deref(), Some(AT));
        let other_size = ListQuery { limit: 7, ..query("a") };
        assert_eq!(cursors.check(&cursor, &other_size, 1).as_deref(), Some(AT));
        let places = [ListPlace::End, AT[0], ListPlace::Start];
        let cursor = cursors.sign(&places, &query("a"));
        assert_eq!(cursors.check(&cursor, &query("a"), 3).as_deref(), Some(&places[..]));
        assert_eq!(cursors.check(&cursor, &query("a"), 1), None, "of another number of shards");
    }

    #[test]
    fn forged_and_foreign_cursors_are_refused() {
        let cursors = Cursors::new(&"secret".into());
        let cursor = cursors.sign(AT, &query("a"));
        assert_eq!(cursors.check(&cursor, &query("b"), 1), None);
        assert_eq!(cursors.check(&cursor, &ListQuery { state: Some(JobState::Dead), ..query("a") }, 1), None);
        assert_eq!(Cursors::new(&"other".into()).check(&cursor, &query("a"), 1), None);
        for bad in ["", "x", "AAAA", &"A".repeat(43), &cursor[1..]] {
            assert_eq!(cursors.check(bad, &query("a"), 1), None, "{bad}");
        }
        for at in 0..cursor.len() {
            let mut bytes = cursor.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(cursors.check(&forged, &query("a"), 1), None, "byte {at}");
        }
    }
}
