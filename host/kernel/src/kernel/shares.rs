//! Parts of a run's budget, set aside for children. A share is held on its run's account from the moment it is made, so
//! that a child can never have what its parent has not; the books of agent and site are drawn on as the child spends.

use super::ledger::AccountId;
use super::runs::Life;
use super::{Consequences, Kernel, reasons};
use crate::budget::{Amounts, Limits, Resource};
use crate::call::RunId;
use crate::limits::{CHILD_DEPTH_MAX, TREE_RUNS_MAX};
use crate::refusal::Refusal;
use crate::time::Millis;

/// A part of a run's budget, for one child: [`Kernel::start_child`] takes it, [`Kernel::dissolve`] gives it back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a share that nobody uses or dissolves is set aside until its run is over, and keeps the run from ending"]
pub struct Share {
    pub(super) run: RunId,
    /// Of which stay of the run: no other has it.
    pub(super) life: Life,
    pub(super) account: AccountId,
    pub(super) limits: Limits,
}

impl Kernel {
    /// Sets a part of a run's budget aside for a child. What `share` does not name has no limit of its own: the child
    /// draws on its parent as it goes; but of fuel a child has only what is named. Wall time and memory do not divide:
    /// they bound the child, which is over with its parent in any case.
    ///
    /// `fuel_left` is what the engine says the run has not burnt; what the share takes of it, the engine has to take from
    /// the guest.
    ///
    /// # Errors
    /// `exhausted` if the run itself has not so much; `busy` if children nest too deep or are too many. Nothing is set aside then.
    pub fn split(
        &mut self,
        id: RunId,
        share: Limits,
        fuel_left: u64,
        now: Millis,
    ) -> (Result<Share, Refusal>, Consequences) {
        let split = self.set_aside(id, share, fuel_left, now);
        self.follows.books |= split.is_ok();
        (split, self.follows())
    }

    #[expect(clippy::result_large_err, reason = "once a child, and it goes to a person whole")]
    fn set_aside(&mut self, id: RunId, share: Limits, fuel_left: u64, now: Millis) -> Result<Share, Refusal> {
        let way = core::iter::successors(Some(id), |id| self.runs.get(id)?.parent);
        let (depth, top) = way.fold((0, id), |(depth, _), id| (depth + 1, id));
        let full = self.runs.get(&top).is_some_and(|top| top.tree >= TREE_RUNS_MAX);
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.ended) else {
            return Err(*reasons::ended("the run is over"));
        };
        let worded = |mut no: super::No| {
            no.agent.clone_from(&run.agent);
            no.wanted = "budget.split".into();
            *no
        };
        if depth > CHILD_DEPTH_MAX {
            return Err(worded(reasons::busy("children nest as deep as they may", "the agent does it itself")));
        }
        if full {
            return Err(worded(reasons::busy("as many agents work for one run as may", "the agent awaits some first")));
        }
        let fuel = share.get(Resource::Fuel).unwrap_or(0);
        let again = fuel.min(run.fuel_given_again);
        // What is only taken again was taken from the guest before, however much an engine says that it has burnt since.
        let has = run.allowance.fuel.saturating_sub(run.fuel_given).saturating_add(again).min(fuel_left).max(again);
        let share = share.with(Resource::Fuel, fuel);
        let (account, life) = (run.account, run.life);
        if fuel > has {
            return Err(worded(reasons::not_so_much(Resource::Fuel, fuel, has)));
        }
        // The fuel is the run's already; it goes from the guest's part of the account to the child's.
        let moved = Amounts::of(Resource::Fuel, fuel - again);
        let split = self.ledger.split(account, &share, &moved, now);
        let child = split
            .map_err(|lack| worded(reasons::not_so_much(lack.what, share.get(lack.what).unwrap_or(0), lack.left)))?;
        run.fuel_given = run.fuel_given.saturating_add(fuel - again);
        run.fuel_given_again -= again;
        run.shares += 1;
        if let Some(top) = self.runs.get_mut(&top) {
            top.tree += 1;
        }
        Ok(Share { run: id, life, account: child, limits: share })
    }

    /// The fuel that a run was given and has not given away, whatever its guest has burnt of it.
    pub fn fuel_to_give(&self, id: RunId) -> u64 {
        self.runs.get(&id).map_or(0, |run| run.allowance.fuel.saturating_sub(run.fuel_given))
    }

    /// Gives a share back that no child was started on. Its fuel does not come back to the guest, but to the accounts.
    pub fn dissolve(&mut self, share: Share) -> Consequences {
        self.put_back_share(share);
        self.follows()
    }

    pub(super) fn put_back_share(&mut self, share: Share) {
        self.ledger.close(share.account);
        self.detach(share.run, share.life);
        self.forget(share.run);
    }

    /// One less draws on this run, and one less is in its tree.
    pub(super) fn detach(&mut self, above: RunId, life: Life) {
        let Some(run) = self.living(above, life) else { return };
        run.shares = run.shares.saturating_sub(1);
        let top = core::iter::successors(Some(above), |id| self.runs.get(id)?.parent).last();
        if let Some(top) = top.and_then(|top| self.runs.get_mut(&top)) {
            top.tree = top.tree.saturating_sub(1);
        }
    }
}
