//! The checker's own table of what may follow what. It was written from the picture in ARCHITECTURE.md, not from
//! the engine's table: a mistake would have to be made twice.

/// Where a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Unborn,
    Scheduled,
    Pending,
    Running,
    Held,
    Succeeded,
    Dead,
    Cancelled,
    Expired,
}

impl State {
    pub(super) const ALL: [Self; 9] = [
        Self::Unborn,
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Held,
        Self::Succeeded,
        Self::Dead,
        Self::Cancelled,
        Self::Expired,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Unborn => "unknown",
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Held => "held",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled | Self::Expired)
    }

    /// One bit of a set of states.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Neither unborn nor at its end.
    pub(super) fn is_live(self) -> bool {
        self != Self::Unborn && !self.is_terminal()
    }
}

/// The state that a letter of the log leads to; a progress report leaves the job running.
pub(super) fn target(letter: u8) -> Option<State> {
    Some(match letter {
        b'S' => State::Scheduled,
        b'P' => State::Pending,
        b'R' | b'p' => State::Running,
        b'H' => State::Held,
        b's' => State::Succeeded,
        b'd' => State::Dead,
        b'c' => State::Cancelled,
        b'e' => State::Expired,
        _ => return None,
    })
}

/// Whether a job may go that way. `named`: the item names the attempt that ended or wrote.
pub(super) fn legal(from: State, letter: u8, named: bool) -> bool {
    match (from, letter) {
        (State::Running, b's' | b'd' | b'S' | b'P' | b'H' | b'p') => named,
        (State::Unborn, b'S' | b'P')
        | (State::Scheduled, b'P' | b'c' | b'e')
        | (State::Pending, b'R' | b'c' | b'e')
        | (State::Running, b'c')
        | (State::Held | State::Dead | State::Cancelled | State::Expired, b'P')
        | (State::Held, b'c') => !named,
        _ => false,
    }
}

/// Crashes after which a job is given up on.
pub(super) const POISON: u16 = 3;

/// A script reads the clock when it begins, and its entry is stamped when it ends: so much later at most, on a machine
/// that has more to do than it can.
pub(super) const SCRIPT_MS: u64 = 1_000;

/// Upper end of the wait after the n-th failed attempt, in milliseconds: doubling from 2 s, 5 min at most.
pub(super) fn longest_backoff_ms(attempt: u16) -> u64 {
    let doublings = u32::from(attempt.saturating_sub(1)).min(20);
    (2_000_u64 << doublings).min(300_000)
}
