//! Accounts: what is held for calls in flight and what is gone.
//!
//! Every amount is held at its worst case before a call and settled at its true cost after. An account never reads a
//! clock: it is told the time, and what it is told may go back.

use serde::{Deserialize, Serialize};

use super::{Amounts, Limits, Resource, Window};
use crate::time::{Day, Millis, Minute};

/// What one account has spent and holds. Its limits come from policy each time it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Gone in this period; of what stands at a level, the level.
    pub spent: Amounts,
    /// Set aside for calls in flight, at their worst case.
    pub held: Amounts,
    /// What a person gave beyond the limits, until the period is over.
    pub given: Amounts,
    /// What `spent` counts.
    pub period: Period,
}

/// The accounts of an agent or of the site: one a window. They hold the same, and each counts its own period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Of this minute.
    pub minute: Account,
    /// Of this day, and what stands at a level.
    pub day: Account,
}

impl Books {
    /// As [`Account::write_off`].
    pub fn write_off(&mut self, kept: &Amounts) -> bool {
        self.minute.write_off(kept) | self.day.write_off(kept)
    }
}

impl Books {
    /// As [`Account::take_back`].
    pub fn take_back(&mut self, returned: &Amounts, since: Millis) {
        self.minute.take_back(returned, since);
        self.day.take_back(returned, since);
    }
}

impl Default for Books {
    fn default() -> Self {
        let minute = Account::of(Period::Minute(Minute::default()));
        Self { minute, day: Account::of(Period::Day(Day::default())) }
    }
}

/// The stretch of time that an account counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// All of it.
    #[default]
    Ever,
    /// A minute, UTC.
    Minute(Minute),
    /// A day, UTC.
    Day(Day),
}

impl Period {
    /// The window that such periods make up.
    pub fn window(self) -> Window {
        match self {
            Self::Ever => Window::Run,
            Self::Minute(_) => Window::Minute,
            Self::Day(_) => Window::Day,
        }
    }

    /// The period of the same kind that `now` lies in.
    fn at(self, now: Millis) -> Self {
        match self {
            Self::Ever => Self::Ever,
            Self::Minute(_) => Self::Minute(now.minute()),
            Self::Day(_) => Self::Day(now.day()),
        }
    }

    /// A count that grows from one period to the next.
    fn number(self) -> u32 {
        match self {
            Self::Ever => 0,
            Self::Minute(minute) => minute.0,
            Self::Day(day) => day.0,
        }
    }

    /// When the next one begins.
    fn ends(self) -> Option<Millis> {
        match self {
            Self::Ever => None,
            Self::Minute(minute) => Some(Minute(minute.0.saturating_add(1)).begins()),
            Self::Day(day) => Some(Day(day.0.saturating_add(1)).begins()),
        }
    }
}

impl Account {
    /// An account of this period and all that follow.
    pub fn of(period: Period) -> Self {
        Self { period, ..Self::default() }
    }

    /// Begins a new period if one has come. A clock set back refills nothing, and one that went forward and back again
    /// has refilled once.
    pub fn refill(&mut self, now: Millis) {
        let current = self.period.at(now);
        if current.number() > self.period.number() {
            self.period = current;
            self.given = Amounts::ZERO;
            self.spent = Amounts::by(|what| if what.is_level() { self.spent[what] } else { 0 });
        }
    }

    /// A period that has not come was none: what it counted counts for the one of `now`. True if it was one.
    pub fn set_back(&mut self, now: Millis) -> bool {
        let current = self.period.at(now);
        let later = current.number() < self.period.number();
        if later {
            self.period = current;
        }
        later
    }

    /// The limit on this resource, with what a person gave; none if there is none.
    pub fn limit(&self, limits: &Limits, resource: Resource) -> Option<u64> {
        limits.get(resource).map(|limit| limit.saturating_add(self.given[resource]))
    }

    /// What can still be held of this resource; none if it has no limit.
    pub fn left(&self, limits: &Limits, resource: Resource) -> Option<u64> {
        self.limit(limits, resource).map(|limit| self.room(limit, resource))
    }

    /// The first resource of which `worst` does not fit. Where there is no limit, the end of a number is one, so that
    /// no sum is ever rounded.
    pub fn lacks(&self, limits: &Limits, worst: &Amounts) -> Option<Resource> {
        Resource::ALL.into_iter().find(|resource| {
            let limit = self.limit(limits, *resource).unwrap_or(u64::MAX);
            worst[*resource] > 0 && worst[*resource] > self.room(limit, *resource)
        })
    }

    /// Sets `worst` aside; the caller has seen that nothing lacks.
    pub fn hold(&mut self, worst: &Amounts) {
        self.held = self.held.plus(*worst);
    }

    /// Gives `held` back and takes as much of `spent` as the limits leave; returns what it took. A level is a fact and
    /// taken whole.
    pub fn settle(&mut self, limits: &Limits, held: &Amounts, spent: &Amounts) -> Amounts {
        self.held = self.held.minus(*held);
        let taken = Amounts::by(|what| {
            let limit = self.limit(limits, what).unwrap_or(u64::MAX);
            // What was held is owed even if a reload has made the limit smaller since.
            let room = self.room(limit, what).max(held[what]);
            if what.is_level() { spent[what] } else { spent[what].min(room) }
        });
        self.spent = self.spent.plus(taken);
        taken
    }

    /// Lowers what stands at a level: something that was kept is gone.
    pub fn lower(&mut self, freed: &Amounts) {
        self.spent = Amounts::by(|what| match what.is_level() {
            true => self.spent[what].saturating_sub(freed[what]),
            false => self.spent[what],
        });
    }

    /// Raises what stands at a level: something is kept that nothing was held for.
    pub fn raise_level(&mut self, kept: &Amounts) {
        self.spent = Amounts::by(|what| match what.is_level() {
            true => self.spent[what].saturating_add(kept[what]),
            false => self.spent[what],
        });
    }

    /// Something that counted as spent at `since` did not happen. A period that is over has been forgotten with all that it counted.
    pub fn take_back(&mut self, returned: &Amounts, since: Millis) {
        if self.period.at(since) == self.period {
            self.spent = Amounts::by(|what| match what.is_level() {
                true => self.spent[what],
                false => self.spent[what].saturating_sub(returned[what]),
            });
        }
    }

    /// Lets a person give more, until the period is over.
    pub fn give(&mut self, more: &Amounts) {
        self.given = self.given.plus(*more);
    }

    /// Seconds until it refills, if it does. After a clock was set back that can be longer than the period.
    pub fn refills_in_s(&self, now: Millis) -> Option<u64> {
        self.period.ends().map(|end| end.since(now).div_ceil(1000))
    }

    /// What a limit leaves that is neither spent nor held.
    pub fn room(&self, limit: u64, resource: Resource) -> u64 {
        limit.saturating_sub(self.spent[resource]).saturating_sub(self.held[resource])
    }

    /// After a crash nobody knows what the calls in flight cost, so what was held counts as spent, but for what runs hold that go on
    /// by their journals. A level is known: it is stored together with what it counts. Returns true if something of that kind was
    /// under way, so that the level has to be counted anew.
    pub fn write_off(&mut self, kept: &Amounts) -> bool {
        let held = self.held.minus(*kept);
        self.held = *kept;
        let levels = Resource::ALL.into_iter().any(|what| what.is_level() && held[what] > 0);
        self.spent = self.spent.plus(Amounts::by(|what| if what.is_level() { 0 } else { held[what] }));
        levels
    }
}
