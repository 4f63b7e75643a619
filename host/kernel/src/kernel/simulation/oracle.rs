//! Counts beside the kernel, from the outside: what effects really cost, what of it is durable, what is kept. It shares no
//! code with the ledger, so that both have to be wrong in the same way to agree on a mistake.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::budget::{Amounts, Books, Period, Resource};
use crate::call::RunId;

use super::super::tracked::Tracked as Kernel;
use super::zoo::AGENTS;

/// The site, as an owner of books.
pub(super) const SITE: &str = "";

/// Whose books there are.
pub(super) fn owners() -> impl Iterator<Item = &'static str> {
    AGENTS.into_iter().chain([SITE])
}

/// An account: an owner's minute or day, or a run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    Minute(&'static str),
    Day(&'static str),
    Run(RunId),
}

#[derive(Default)]
pub(super) struct Oracle {
    /// What effects cost at least, in the period in which it was booked: what was held for them is owed in any case.
    owed: BTreeMap<Whose, (u32, Amounts)>,
    /// What each account had spent and held after the last step.
    pub(super) sums: BTreeMap<Whose, Amounts>,
    /// What is on disk.
    durable: BTreeMap<&'static str, Books>,
    /// What is held for effects that began before the last flush, and so may have happened, by agent.
    begun: Vec<(&'static str, Amounts)>,
    /// Entries that are kept: who wrote them and how many bytes.
    pub(super) rows: BTreeMap<u64, (&'static str, u64)>,
    /// What was spent above a limit, over all steps: to stay 0.
    pub(super) overspent: u64,
}

impl Oracle {
    /// Everything that is in memory reaches the disk.
    pub(super) fn flush(&mut self, kernel: &Kernel, begun: Vec<(&'static str, Amounts)>) {
        for owner in owners() {
            if let Some(books) = books(kernel, owner) {
                self.durable.insert(owner, books);
            }
        }
        self.begun = begun;
    }

    /// An effect was settled: it cost this, of which as much as was held is owed by every account above.
    pub(super) fn settled(&mut self, kernel: &Kernel, runs: &[RunId], agent: &'static str, owed: &Amounts) {
        for run in runs {
            let sum = self.owed.entry(Whose::Run(*run)).or_default();
            sum.1 = sum.1.plus(*owed);
        }
        for owner in [agent, SITE] {
            let Some(books) = books(kernel, owner) else { continue };
            for (whose, period) in [(Whose::Minute(owner), books.minute.period), (Whose::Day(owner), books.day.period)]
            {
                let sum = self.owed.entry(whose).or_default();
                if sum.0 != number(period) {
                    assert!(sum.0 < number(period), "no account goes back to an earlier period");
                    *sum = (number(period), Amounts::ZERO);
                }
                sum.1 = sum.1.plus(*owed);
            }
        }
    }

    /// Looks at one account after a step.
    pub(super) fn check(
        &mut self,
        whose: Whose,
        period: Period,
        spent: &Amounts,
        held: &Amounts,
        limit: impl Fn(Resource) -> u64,
    ) {
        let before = self.sums.get(&whose).copied().unwrap_or_default();
        let (booked, owed) = self.owed.get(&whose).copied().unwrap_or_default();
        let mut sums = Amounts::ZERO;
        for what in Resource::ALL {
            sums[what] = spent[what].checked_add(held[what]).expect("no sum is rounded");
            // A reload may have set a limit below what was spent already; then nothing may be added to it.
            let above = sums[what].saturating_sub(limit(what).max(before[what]));
            self.overspent = self.overspent.saturating_add(above);
            assert_eq!(above, 0, "{whose:?} stands above its limit of {what:?}");
            let counted = booked != number(period) || what.is_level() || spent[what] >= owed[what];
            assert!(counted, "{whose:?} has forgotten {what:?}: {} of {}", spent[what], owed[what]);
        }
        self.sums.insert(whose, sums);
    }

    /// What would stand there if the host died now: what may have happened outside is counted, and no limit is passed.
    pub(super) fn check_crash(&self) {
        for owner in owners() {
            let Some(books) = self.durable.get(owner) else { continue };
            let theirs = self.begun.iter().filter(|(agent, _)| owner == SITE || owner == *agent);
            let begun = theirs.fold(Amounts::ZERO, |sum, (_, held)| sum.plus(*held));
            let mut after = *books;
            after.write_off(&Amounts::ZERO);
            for (before, after) in [(books.minute, after.minute), (books.day, after.day)] {
                assert!(after.held.is_zero(), "nobody is left who could give back what is held");
                for what in Resource::ALL.into_iter().filter(|what| !what.is_level()) {
                    let least = before.spent[what] + begun[what];
                    let most = before.spent[what] + before.held[what];
                    assert!((least..=most).contains(&after.spent[what]), "{owner} after a crash: {what:?}");
                }
            }
        }
    }

    /// The host dies. What is on disk, with levels counted anew as the next host does, and nothing of what was in memory.
    pub(super) fn crash(&mut self) -> Vec<(&'static str, Books)> {
        self.owed.clear();
        self.sums.clear();
        self.begun.clear();
        let mut left: Vec<_> = core::mem::take(&mut self.durable).into_iter().collect();
        for (owner, books) in &mut left {
            books.day.spent[Resource::Storage] = self.kept(owner);
        }
        left
    }

    /// After a restart, what was written off counts.
    pub(super) fn restarted(&mut self, kernel: &Kernel) {
        for owner in owners() {
            let Some(books) = books(kernel, owner) else { continue };
            for (whose, account) in [(Whose::Minute(owner), books.minute), (Whose::Day(owner), books.day)] {
                self.owed.insert(whose, (number(account.period), account.spent));
                self.sums.insert(whose, account.spent);
            }
        }
        self.flush(kernel, Vec::new());
    }

    /// Bytes that an agent keeps; all together for the site.
    pub(super) fn kept(&self, owner: &str) -> u64 {
        self.rows.values().filter(|(author, _)| owner == SITE || *author == owner).map(|(_, bytes)| bytes).sum()
    }

    pub(super) fn forget_runs(&mut self, alive: impl Fn(RunId) -> bool) {
        let stays = |whose: &Whose| !matches!(whose, Whose::Run(run) if !alive(*run));
        self.owed.retain(|whose, _| stays(whose));
        self.sums.retain(|whose, _| stays(whose));
    }
}

pub(super) fn books(kernel: &Kernel, owner: &str) -> Option<Books> {
    if owner == SITE { Some(kernel.site_books()) } else { kernel.books(owner) }
}

fn number(period: Period) -> u32 {
    match period {
        Period::Ever => 0,
        Period::Minute(minute) => minute.0,
        Period::Day(day) => day.0,
    }
}
