//! Small numbers for long texts: a million jobs have to fit in memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

const ID: usize = 22;

/// The id of a job, as it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id([u8; ID]);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.as_bytes().try_into().ok().map(Self)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// A text reduced to 64 bits; 0 stands for no text.
pub(super) fn hash(text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().max(1)
}

/// A pair reduced to 64 bits, so that `a:b` with `c` is not `a` with `b:c`.
pub(super) fn hash_pair(a: &str, b: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (a, b).hash(&mut hasher);
    hasher.finish().max(1)
}

/// Names by number; 0 is the name that is not known.
pub(super) struct Names {
    numbers: HashMap<String, u16>,
    names: Vec<String>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), names: vec!["?".to_owned()] }
    }

    /// The number of a name, a new one if need be. More than 65,535 names share the last.
    pub(super) fn number(&mut self, name: &str) -> u16 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    pub(super) fn find(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("?", String::as_str)
    }
}
