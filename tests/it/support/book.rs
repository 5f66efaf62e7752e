//! The fleet's book of model calls, kept in the test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use windlass::clock;
use windlass::domain::Timestamp;
use windlass::domain::llm::{Block, BlockKind, Demand, Reserved, Settlement, Target, Verdict};
use windlass::executors::llm::{Fleet, FleetFuture};
use windlass::store::StoreError;

/// Grants what is not cooling, unless an answer was laid out; keeps what it is told.
pub(crate) struct Book {
    answers: Mutex<VecDeque<Result<Reserved, StoreError>>>,
    cooling: Mutex<Vec<Target>>,
    demands: Mutex<Vec<Demand>>,
    /// A permit lets one demand be answered; without it they all are.
    gate: Option<Semaphore>,
    sender: mpsc::UnboundedSender<Settlement>,
}

/// Settlements as they come in.
pub(crate) type Settled = mpsc::UnboundedReceiver<Settlement>;

impl Book {
    pub(crate) fn new() -> (Arc<Self>, Settled) {
        Self::with_gate(None)
    }

    /// One that answers when [`Self::open`] is called.
    pub(crate) fn gated() -> (Arc<Self>, Settled) {
        Self::with_gate(Some(Semaphore::new(0)))
    }

    fn with_gate(gate: Option<Semaphore>) -> (Arc<Self>, Settled) {
        let (sender, settled) = mpsc::unbounded_channel();
        let (answers, cooling, demands) = (Mutex::default(), Mutex::default(), Mutex::default());
        (Arc::new(Self { answers, cooling, demands, gate, sender }), settled)
    }

    /// Answers one demand.
    pub(crate) fn open(&self) {
        self.gate.as_ref().unwrap().add_permits(1);
    }

    /// Lays out the answer to the next demand.
    pub(crate) fn answer(&self, answer: Result<Reserved, StoreError>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(crate) fn demands(&self) -> Vec<Demand> {
        self.demands.lock().unwrap().clone()
    }
}

/// There is room for the call only after `wait`.
pub(crate) fn later(wait: Duration) -> Result<Reserved, StoreError> {
    Ok(Reserved::Later { at: clock::wall().plus(wait), block: block(BlockKind::Requests) })
}

pub(crate) fn block(kind: BlockKind) -> Block {
    Block { whose: "provider a".to_owned(), kind }
}

impl Fleet for Book {
    fn reserve(&self, demand: Demand) -> FleetFuture<'_, Reserved> {
        self.demands.lock().unwrap().push(demand.clone());
        let cooling = self.cooling.lock().unwrap().clone();
        let granted = demand.candidates.iter().position(|c| !cooling.contains(&c.target));
        let usual = match granted {
            Some(candidate) => Ok(Reserved::Granted { candidate, probe: false }),
            None => later(Duration::from_secs(300)),
        };
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(usual);
        Box::pin(async move {
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            answer
        })
    }

    fn settle(&self, settlement: Settlement) -> FleetFuture<'_, ()> {
        if let Verdict::Cool(_) = settlement.verdict {
            self.cooling.lock().unwrap().push(settlement.target.clone());
        }
        let _ = self.sender.send(settlement);
        Box::pin(async { Ok(()) })
    }

    fn now(&self) -> Timestamp {
        clock::wall()
    }
}
