//! What is left alone for a while, by the whole fleet: an endpoint that keeps failing, an account over its limit.
//!
//! The book is asked seldom. One answer says how long a scope cools and whether anything cools at all; while nothing
//! does, no scope is asked for, so that a fleet at full speed asks once in [`ASK_EVERY`] per process. What this process
//! saw itself counts at once. Cooling is a courtesy: when the book cannot be reached, calls go on.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::{self, Instant};
use crate::domain::{JobId, Workspace};
use crate::engine::ExecutionError;
use crate::store::{Cooling, Shards, StoreError};

/// How old the book's last answer may be.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Failures of a scope in a row before it is left alone.
const STRIKES: u32 = 5;

/// The first cooldown after failures; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(10);

/// The longest cooldown after failures.
const LONGEST: Duration = Duration::from_secs(300);

/// Scopes that a process remembers; those that cool no more make room.
const REMEMBERED: usize = 4096;

/// The future of the book's answer.
pub type CoolingFuture<'a> = Pin<Box<dyn Future<Output = Result<Cooling, StoreError>> + Send + 'a>>;

/// The fleet's book of what is left alone.
pub trait CooldownBook: Send + Sync + std::fmt::Debug {
    /// Leaves `scope` alone for `time`, or for as long as it is already; zero only looks.
    fn cooldown<'a>(&'a self, scope: &'a str, time: Duration) -> CoolingFuture<'a>;
}

impl CooldownBook for Shards {
    fn cooldown<'a>(&'a self, scope: &'a str, time: Duration) -> CoolingFuture<'a> {
        Box::pin(async move { Self::cooldown(self, scope, time).await })
    }
}

/// Something outside that a workspace may have to leave alone. Of others it learns nothing: each workspace cools its
/// own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope(String);

impl Scope {
    /// `kind` of thing and its name, which may be secret: only a hash is kept.
    pub(super) fn new(kind: &str, workspace: &Workspace, name: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(workspace.as_str());
        for part in name {
            hash.update([0]);
            hash.update(part);
        }
        let digest: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{kind}:{digest}"))
    }

    /// The identity that the settings give all workspaces at `service`: they share its limits.
    pub(super) fn of_settings(service: &str) -> Self {
        Self(format!("{service}:settings"))
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// When the book was last asked for it.
    asked: Option<Instant>,
    /// Until when it is left alone.
    until: Option<Instant>,
    strikes: u32,
}

#[derive(Debug, Default)]
struct State {
    scopes: HashMap<Scope, Known>,
    /// Until when the book need not be asked: nothing cools.
    quiet_until: Option<Instant>,
}

/// What one process knows of the book.
#[derive(Clone, Debug, Default)]
pub struct Cooldowns {
    book: Option<Arc<dyn CooldownBook>>,
    state: Arc<Mutex<State>>,
}

impl Cooldowns {
    /// What this process knows of `book`. Without one, a process leaves alone what it saw itself.
    #[must_use]
    pub fn new(book: Option<Arc<dyn CooldownBook>>) -> Self {
        Self { book, state: Arc::default() }
    }

    /// Postpones a job, uncharged, while `scope` is left alone. Jobs come back spread over a quarter of the time that is
    /// left, so that they do not all come at once.
    ///
    /// # Errors
    /// The postponement.
    pub(super) async fn check(&self, scope: &Scope, job: JobId, who: &str) -> Result<(), ExecutionError> {
        if let (Some(book), true) = (&self.book, self.should_ask(scope)) {
            self.heard(scope, book.cooldown(&scope.0, Duration::ZERO).await);
        }
        let left = self.left(scope);
        if left.is_zero() {
            return Ok(());
        }
        let spread = left / 4 * u32::from(job.to_string().bytes().fold(0_u8, u8::wrapping_add)) / 256;
        Err(ExecutionError::postpone(
            format_args!("{who} is left alone for a while, after what it answered"),
            left + spread,
        ))
    }

    /// Leaves `scope` alone for `time`, in this process at once and in the fleet as soon as the book has it.
    pub(super) async fn cool(&self, scope: &Scope, time: Duration) {
        self.keep(scope, time);
        if let Some(book) = &self.book {
            self.heard(scope, book.cooldown(&scope.0, time).await);
        }
    }

    /// Notes a failure; the fifth in a row, and each after that, leaves the scope alone.
    pub(super) async fn failed(&self, scope: &Scope) {
        let strikes = self.with(scope, |known| {
            known.strikes = known.strikes.saturating_add(1);
            known.strikes
        });
        if let Some(over) = strikes.checked_sub(STRIKES) {
            self.cool(scope, FIRST.saturating_mul(1 << over.min(16)).min(LONGEST)).await;
        }
    }

    /// Notes that it answers again.
    pub(super) fn answered(&self, scope: &Scope) {
        if let Some(known) = self.lock().scopes.get_mut(scope) {
            known.strikes = 0;
        }
    }

    /// Whether it is this caller's turn to ask the book.
    fn should_ask(&self, scope: &Scope) -> bool {
        let now = clock::now();
        if self.lock().quiet_until.is_some_and(|until| now < until) {
            return false;
        }
        self.with(scope, |known| {
            let due = known.asked.is_none_or(|asked| now.duration_since(asked) >= ASK_EVERY);
            if due {
                known.asked = Some(now);
            }
            due
        })
    }

    fn heard(&self, scope: &Scope, answer: Result<Cooling, StoreError>) {
        match answer {
            Ok(cooling) => {
                self.lock().quiet_until = cooling.any.is_zero().then(|| clock::now() + ASK_EVERY);
                self.keep(scope, cooling.scope);
            }
            Err(error) => tracing::debug!(%error, "the fleet's cooldowns cannot be asked for"),
        }
    }

    fn keep(&self, scope: &Scope, time: Duration) {
        if !time.is_zero() {
            let until = clock::now() + time;
            self.with(scope, |known| known.until = known.until.max(Some(until)));
        }
    }

    fn left(&self, scope: &Scope) -> Duration {
        let until = self.lock().scopes.get(scope).and_then(|known| known.until);
        until.map(|until| until.saturating_duration_since(clock::now())).unwrap_or_default()
    }

    fn with<T>(&self, scope: &Scope, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut state = self.lock();
        if state.scopes.len() >= REMEMBERED && !state.scopes.contains_key(scope) {
            let now = clock::now();
            state.scopes.retain(|_, known| known.until.is_some_and(|until| until > now));
            if state.scopes.len() >= REMEMBERED {
                state.scopes.clear();
            }
        }
        change(state.scopes.entry(scope.clone()).or_insert(Known { asked: None, until: None, strikes: 0 }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Book {
        asked: AtomicUsize,
        scope: Duration,
        any: Duration,
    }

    impl CooldownBook for Book {
        fn cooldown<'a>(&'a self, _: &'a str, time: Duration) -> CoolingFuture<'a> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let cooling = Cooling { scope: self.scope.max(time), any: self.any.max(time) };
            Box::pin(async move { Ok(cooling) })
        }
    }

    fn scope(name: &str) -> Scope {
        Scope::new("test", &Workspace::new("w").unwrap(), &[name])
    }

    async fn check(cooldowns: &Cooldowns, name: &str) -> Result<(), ExecutionError> {
        cooldowns.check(&scope(name), JobId::new(1, 0), "it").await
    }

    #[tokio::test]
    async fn while_nothing_cools_the_book_is_asked_once_for_all_scopes() {
        let book = Arc::new(Book::default());
        let cooldowns = Cooldowns::new(Some(book.clone()));
        for name in ["a", "b", "a", "c", "b"] {
            check(&cooldowns, name).await.unwrap();
        }
        assert_eq!(book.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn while_something_cools_each_scope_is_asked_for_once() {
        let book = Arc::new(Book { any: Duration::from_secs(60), ..Book::default() });
        let cooldowns = Cooldowns::new(Some(book.clone()));
        for name in ["a", "b", "a", "b", "a"] {
            check(&cooldowns, name).await.unwrap();
        }
        assert_eq!(book.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_another_process_cools_postpones_a_job_by_at_least_what_is_left() {
        let minute = Duration::from_secs(60);
        let cooldowns = Cooldowns::new(Some(Arc::new(Book { scope: minute, any: minute, ..Book::default() })));
        let postponed = check(&cooldowns, "a").await.unwrap_err();
        let crate::engine::Disposition::Postpone { after } = postponed.disposition else { panic!("{postponed}") };
        assert!(after > minute / 2 && after <= minute * 5 / 4, "{after:?}");
    }

    #[tokio::test]
    async fn five_failures_in_a_row_cool_and_a_success_in_between_starts_over() {
        let cooldowns = Cooldowns::default();
        for _ in 0..4 {
            cooldowns.failed(&scope("a")).await;
        }
        cooldowns.answered(&scope("a"));
        for _ in 0..4 {
            cooldowns.failed(&scope("a")).await;
        }
        check(&cooldowns, "a").await.unwrap();
        cooldowns.failed(&scope("a")).await;
        assert!(check(&cooldowns, "a").await.is_err());
        check(&cooldowns, "b").await.unwrap();
    }

    #[test]
    fn workspaces_do_not_share_a_scope_and_a_name_is_not_kept() {
        let other = Scope::new("test", &Workspace::new("x").unwrap(), &["secret-path"]);
        let own = scope("secret-path");
        assert_ne!(own, other);
        assert!(!format!("{own:?}").contains("secret-path"));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let cooldowns = Cooldowns::new(Some(Arc::new(Book { any: Duration::from_secs(9), ..Book::default() })));
        for number in 0..REMEMBERED + 10 {
            check(&cooldowns, &number.to_string()).await.unwrap();
        }
        assert!(cooldowns.lock().scopes.len() <= REMEMBERED);
    }
}
