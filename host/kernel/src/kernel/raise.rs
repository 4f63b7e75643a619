//! A budget that ran out and that people may add to: what lacks, and what their yes adds to it.
//!
//! While people think, nothing is held: what lacks is counted again when the call is about to be made. No more is added then than
//! lacks, never more than they were asked for, and it is held at once. The site's limits are never raised.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::admission::No;
use super::runs::Run;
use super::{Kernel, reasons};
use crate::approval::Required;
use crate::budget::{Amounts, Shortage, Window};
use crate::call::RunId;
use crate::policy::{Grant, Policy};
use crate::refusal::Code;
use crate::time::Millis;

/// What people are asked to add, so that a call can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raise {
    /// The most that the call can take.
    pub(super) worst: Amounts,
    /// What lacks of it.
    pub(super) short: Vec<Shortage>,
    /// What is said if they do not.
    pub(super) otherwise: No,
}

/// Who is asked about a budget of this run; nobody if its grant does not want it, nobody watches, or another run set aside what it has.
pub(super) fn asked<'g>(run: &Run, grant: &'g Grant) -> Option<&'g Required> {
    grant.budget.ask.as_ref().filter(|_| run.attended && run.parent.is_none())
}

impl Kernel {
    /// Adds what lacks now, if people said yes to as much, and holds the worst case; what was added, and that.
    pub(super) fn raise(&mut self, run: RunId, raise: &Raise, now: Millis) -> Result<(Vec<Shortage>, Amounts), No> {
        let Some(run) = self.runs.get(&run) else { return Err(reasons::ended("the run is over")) };
        let account = run.account;
        let short = self
            .ledger
            .shortages(account, &raise.worst, now)
            .filter(|short| within_site(&self.policy, short) && short.iter().all(|one| raise.covers(one)));
        let Some(short) = short else { return Err(raise.otherwise.clone()) };
        self.ledger.raise(account, &short);
        match self.ledger.hold(account, &raise.worst, now) {
            Ok(()) => Ok((short, raise.worst)),
            Err(_) => Err(raise.otherwise.clone()),
        }
    }
}

impl Raise {
    /// The ordinary no, with why people did not help.
    pub(super) fn refused(&self, why: No) -> No {
        if why.code != Code::NotApproved {
            return why;
        }
        let mut no = self.otherwise.clone();
        no.because = format!("{}; {}", no.because, why.because);
        no
    }

    fn covers(&self, now: &Shortage) -> bool {
        self.short.iter().any(|asked| (asked.what, asked.window) == (now.what, now.window) && now.more <= asked.more)
    }
}

/// Whether no run would stand above what the site lets any run take.
pub(super) fn within_site(policy: &Policy, short: &[Shortage]) -> bool {
    short.iter().filter(|short| short.window == Window::Run).all(|short| {
        let most = policy.budget.run.get(short.what).unwrap_or(u64::MAX);
        short.limit.checked_add(short.more).is_some_and(|limit| limit <= most)
    })
}

/// What would be asked of people so that the worst case fits; none if nobody can be, or it would not help.
pub(super) fn wanted(
    policy: &Policy,
    short: Option<Vec<Shortage>>,
    worst: Amounts,
    otherwise: &No,
) -> Option<Box<Raise>> {
    let short = short.filter(|short| !short.is_empty() && within_site(policy, short))?;
    Some(Box::new(Raise { worst, short, otherwise: otherwise.clone() }))
}
