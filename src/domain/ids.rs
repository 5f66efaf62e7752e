//! Identifiers: 128 bits written as 22 characters that sort like the bits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The alphabet in ASCII order, so that the text of an id sorts exactly like its bits.
const ALPHABET: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
const LEN: usize = 22;

/// A text that is not an id: wrong length, a character outside the alphabet, or more than 128 bits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {LEN} characters of [0-9A-Z_a-z~]")]
pub struct IdError;

fn encode(bits: u128) -> [u8; LEN] {
    std::array::from_fn(|i| ALPHABET[((bits >> (6 * (LEN - 1 - i))) & 63) as usize])
}

/// The alphabet is ASCII.
fn text(letters: &[u8; LEN]) -> &str {
    std::str::from_utf8(letters).unwrap_or_default()
}

fn decode(text: &str) -> Result<u128, IdError> {
    let bytes = text.as_bytes();
    if bytes.len() != LEN {
        return Err(IdError);
    }
    let mut bits: u128 = 0;
    for (i, byte) in bytes.iter().enumerate() {
        let digit = ALPHABET.binary_search(byte).map_err(|_| IdError)? as u128;
        if i == 0 && digit > 3 {
            return Err(IdError);
        }
        bits = (bits << 6) | digit;
    }
    Ok(bits)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(text(&encode(self.0)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), text(&encode(self.0)))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text).map(Self)
            }
        }
    };
}

id! {
    /// A job: a UUIDv7 whose last byte is the shard that holds it, so that any process can find
    /// the job from its id alone.
    JobId
}

id! {
    /// One claim by one worker: 128 random bits. Every write of an attempt is checked for equality
    /// of this value, never for order, because counters run backwards after a lossy failover.
    AttemptId
}

id! {
    /// One start of one worker process. Fresh on every start: a reused name would let a restarted
    /// process inherit the leases of its predecessor.
    WorkerId
}

impl JobId {
    /// A new id on `shard`, stamped with `unix_ms` (the caller's best knowledge of Redis time).
    #[must_use]
    pub fn new(unix_ms: u64, shard: u8) -> Self {
        Self::stamped(unix_ms, Uuid::new_v4().as_u128(), shard)
    }

    /// The id on the first shard that everyone makes of this moment and name, so that what several processes begin at
    /// once is begun by one of them.
    #[must_use]
    pub fn derived(unix_ms: u64, name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        Self::stamped(unix_ms, digest.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)), 0)
    }

    fn stamped(unix_ms: u64, random: u128, shard: u8) -> Self {
        let time = u128::from(unix_ms & 0xffff_ffff_ffff) << 80;
        let low = (random & 0x0fff_3fff_ffff_ffff_ffff) & !0xff;
        Self(time | (0x7 << 76) | (0x2 << 62) | (low & !(0xf << 76) & !(0x3 << 62)) | u128::from(shard))
    }

    /// Milliseconds since the Unix epoch at which the id was made.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// The shard whose keys hold this job.
    #[must_use]
    pub fn shard(self) -> u8 {
        (self.0 & 0xff) as u8
    }
}

impl AttemptId {
    /// A fresh random attempt id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().as_u128())
    }
}

impl WorkerId {
    /// A fresh worker id; sorts by start time.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_the_same_for_all_and_another_for_another_moment_or_name() {
        let id = JobId::derived(1_700_000_000_000, "drain default");
        assert_eq!(id, JobId::derived(1_700_000_000_000, "drain default"));
        assert_eq!((id.unix_ms(), id.shard()), (1_700_000_000_000, 0));
        assert_ne!(id, JobId::derived(1_700_000_000_000, "drain other"));
        assert_ne!(id, JobId::derived(1_700_000_000_001, "drain default"));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn text_sorts_like_time() {
        let early = JobId::new(1_000, 0);
        let late = JobId::new(2_000, 0);
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
    }

    #[test]
    fn an_id_carries_its_time_and_shard() {
        let id = JobId::new(1_763_000_000_123, 7);
        assert_eq!((id.unix_ms(), id.shard()), (1_763_000_000_123, 7));
        let uuid = Uuid::from_u128(id.0);
        assert_eq!(uuid.get_version_num(), 7);
    }

    #[test]
    fn foreign_texts_are_refused() {
        for text in ["", "short", "~~~~~~~~~~~~~~~~~~~~~~", "0000000000000000000 00"] {
            assert!(text.parse::<JobId>().is_err(), "{text:?}");
        }
    }
}
