//! How a run goes on that its host lost, or that left memory while it waited: its account as it stood, and what becomes of the calls
//! that have no answer.

use alloc::vec::Vec;

use super::admission::No;
use super::ledger::AccountId;
use super::runs::worded;
use super::{Consequences, Kernel, Share, Start, reasons};
use crate::budget::Allowance;
use crate::budget::{Amounts, Resource};
use crate::call::{CallId, Repeat, RunId};
use crate::journal::{Open, Unfinished};
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::tool::Effect;

/// What becomes of a call that was asked and has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is made again, under the same number: nothing came of it, or doing it twice is as good as once.
    Again,
    /// The guest is told that nobody knows whether it happened.
    Interrupted,
}

/// A call without an answer, as its run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Which.
    pub call: CallId,
    /// What is done about it.
    pub then: Afterwards,
    /// What counts as spent, because nobody knows whether it is.
    pub spent: Amounts,
}

impl Kernel {
    /// Goes on with a run, under the policy of today: what it was given and has spent stays, and its books hold for it already what
    /// it holds ([`Kernel::restore`]). A child goes on below its parent, on a share as it had.
    ///
    /// The calls without an answer come back settled, with what becomes of each: write them down before the run is executed.
    ///
    /// # Errors
    /// A refusal as of [`Kernel::start`]. Nothing has changed then.
    pub fn resume(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        share: Option<Share>,
        now: Millis,
    ) -> (Result<(Allowance, Vec<Lost>), Refusal>, Consequences) {
        let revived = self.go_on(id, start, past, share, now);
        (revived, self.follows())
    }

    #[expect(clippy::result_large_err, reason = "once a run, and it goes to a person whole")]
    fn go_on(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        share: Option<Share>,
        now: Millis,
    ) -> Result<(Allowance, Vec<Lost>), Refusal> {
        let account = match self.revive(id, start, past, share.as_ref(), now) {
            Ok(account) => account,
            Err(no) => {
                share.into_iter().for_each(|share| self.put_back_share(share));
                return Err(worded(no, start));
            }
        };
        let lost: Vec<Lost> = past.open.iter().map(|(call, open)| self.lost(*call, open)).collect();
        for (lost, open) in lost.iter().zip(past.open.values()) {
            // What a kept thing takes is known from what is kept.
            let spent = lost.spent.with(Resource::Storage, 0);
            self.ledger.settle(account, &open.held, &spent, now);
        }
        self.follows.books = true;
        Ok((past.allowance, lost))
    }

    /// A child that ended under an earlier host took this of the accounts of its runs; the books of agent and site have it already.
    pub fn remember(&mut self, parent: RunId, spent: &Amounts) {
        if let Some(run) = self.runs.get(&parent) {
            self.ledger.carry(run.account, &Amounts::ZERO, spent, &Amounts::ZERO);
        }
    }

    /// Begins a run with the past of another one: as [`Kernel::resume`], but nothing is held for it yet.
    ///
    /// # Errors
    /// A refusal as of [`Kernel::start`]. Nothing has changed then.
    pub fn fork(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        now: Millis,
    ) -> (Result<(Allowance, Vec<Lost>), Refusal>, Consequences) {
        let begun = self.begin_behind(id, start, past, now);
        (begun, self.follows())
    }

    #[expect(clippy::result_large_err, reason = "once a run, and it goes to a person whole")]
    fn begin_behind(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        now: Millis,
    ) -> Result<(Allowance, Vec<Lost>), Refusal> {
        let (books, holds) = (self.agent(&start.agent).minute(), past.holds());
        if let Err(lack) = self.ledger.hold(books, &holds, now) {
            let found = self.policy.find(&start.agent, &start.manifest, start.signer);
            let grant = found.and_then(|grant| self.policy.grants.get(grant));
            let no = match grant {
                Some(grant) => {
                    reasons::exhausted(reasons::budget_of(&self.policy, &start.agent, grant, &lack), &lack, &holds)
                }
                None => reasons::no_grant(&self.policy, start),
            };
            return Err(worded(no, start));
        }
        let begun = self.go_on(id, start, past, None, now);
        if begun.is_err() {
            self.ledger.settle(books, &holds, &Amounts::ZERO, now);
        }
        begun
    }

    /// Lets go of a run that leaves memory. Its books go on holding what it holds, also for calls that wait for people: it is given back once,
    /// when the run goes on. Permits of it that are out are worth nothing.
    pub fn suspend(&mut self, id: RunId, now: Millis) -> Consequences {
        if let Some(run) = self.runs.remove(&id) {
            self.ledger.abandon(run.account);
        }
        // Behind that, nothing is held here for what they waited for.
        self.forgo_all(id, now);
        // What stands in the store of its books is what the next host finds: they go on holding for it.
        Consequences { books: false, ..self.follows() }
    }

    /// Ends a run that is not here and does not go on: `payer`'s books hold for it what they hold. Nobody is asked whether it may, for it does
    /// nothing any more. Gives the calls that nobody knows of, and what they and its wall time took.
    pub fn end_absent(&mut self, payer: &str, past: &Unfinished, now: Millis) -> ((Vec<Lost>, Amounts), Consequences) {
        let lost: Vec<Lost> = past.open.iter().map(|(call, open)| self.lost(*call, open)).collect();
        let wall_ms = past.wall_ms.min(past.allowance.wall_ms);
        let calls = lost.iter().fold(Amounts::ZERO, |sum, lost| sum.plus(lost.spent));
        let spent = calls.with(Resource::Storage, 0).with(Resource::WallTime, wall_ms);
        let books = self.agent(payer).minute();
        let taken = self.ledger.settle(books, &past.holds(), &spent, now);
        self.follows.books = true;
        ((lost, taken), self.follows())
    }

    /// A call that counted as spent since `since` did not happen after all: its run, if it goes on, its agent and the site have it back.
    pub fn take_back(&mut self, run: RunId, agent: &str, returned: &Amounts, since: Millis) -> Consequences {
        let leaf = self.runs.get(&run).map(|run| run.account);
        let books = self.agents.get(agent).copied();
        self.ledger.take_back(leaf, books.into_iter().chain([self.site]), returned, since);
        self.follows.books = true;
        self.follows()
    }

    fn revive(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        share: Option<&Share>,
        now: Millis,
    ) -> Result<AccountId, No> {
        let (mut run, policy) = self.newcomer(id, start, share, now)?;
        run.allowance = past.allowance;
        // The time that its caller has left is less than what it was given when that had more; what it used of it counts.
        run.share = run.share.with(Resource::WallTime, past.allowance.wall_ms);
        run.started = Millis(now.0.saturating_sub(past.wall_ms));
        run.labels = run.labels.and(&past.labels);
        run.calls = past.calls;
        (run.fuel_given, run.fuel_given_again) = (past.fuel_given(), past.fuel_given_again());
        let account = run.account;
        if let Some(grant) = run.grant.and_then(|grant| policy.grants.get(grant)) {
            self.ledger.set_limits(account, run.limits(&policy, grant));
        }
        self.ledger.carry(account, &past.holds(), &past.spent, &past.given);
        self.enter(id, run);
        Ok(account)
    }

    fn lost(&self, call: CallId, open: &Open) -> Lost {
        let then = self.afterwards(open);
        let spent = if open.sent && open.what.spec().billed { open.held } else { Amounts::ZERO };
        Lost { call, then, spent }
    }

    pub(super) fn afterwards(&self, open: &Open) -> Afterwards {
        if !open.sent {
            return Afterwards::Again;
        }
        let twice_is_once = match open.what.spec().repeat {
            Repeat::Safe => true,
            Repeat::Unsafe => false,
            Repeat::AsTool(name) => {
                self.tool(name).is_some_and(|tool| matches!(tool.effect, Effect::Read | Effect::Idempotent))
            }
        };
        if twice_is_once { Afterwards::Again } else { Afterwards::Interrupted }
    }
}
