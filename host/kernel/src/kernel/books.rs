//! The books of the site and of agents: what they hold and have spent, put back after a restart, raised by a person,
//! lowered when something kept is gone.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::ledger::{BooksId, Owner};
use super::{Consequences, Kernel};
use crate::budget::{Account, Amounts, Books, Resource, Window};
use crate::time::Millis;

/// Somebody's books as a person reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The agent; none for the site.
    pub agent: Option<String>,
    /// What has a limit or moved.
    pub lines: Vec<BalanceLine>,
}

/// One line of somebody's books: a resource in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceLine {
    /// Of what.
    pub what: Resource,
    /// For how long.
    pub window: Window,
    /// The most, with what a person gave; none if there is no limit.
    pub limit: Option<u64>,
    /// What a person added to it, until it refills.
    pub given: u64,
    /// Gone; of what stands at a level, the level.
    pub spent: u64,
    /// Held for calls in flight.
    pub reserved: u64,
    /// Seconds until it refills; none if it does not.
    pub refills_in_s: Option<u64>,
}

impl Kernel {
    /// What an agent has spent and holds today; none if it never ran.
    pub fn account(&self, agent: &str) -> Option<&Account> {
        self.agents.get(agent).map(|books| self.ledger.account(books.day()))
    }

    /// An agent's books; none if it never ran.
    pub fn books(&self, agent: &str) -> Option<Books> {
        self.agents.get(agent).map(|books| self.ledger.books(*books))
    }

    /// The site's books.
    pub fn site_books(&self) -> Books {
        self.ledger.books(self.site)
    }

    /// Puts an agent's books back as they were stored, before its first run. What was held then counts as spent, because
    /// nobody knows what became of it; but for what is `kept` for runs that [`Kernel::resume`] brings back. Books that hold
    /// something now are left alone.
    pub fn restore(&mut self, agent: &str, books: Books, kept: &Amounts) {
        let id = self.agent(agent);
        self.put_back(id, books, kept);
    }

    /// The same for the site.
    pub fn restore_site(&mut self, books: Books, kept: &Amounts) {
        self.put_back(self.site, books, kept);
    }

    /// Something that an agent kept is gone.
    pub fn free(&mut self, agent: &str, freed: &Amounts) -> Consequences {
        if let Some(books) = self.agents.get(agent) {
            self.ledger.lower(*books, freed);
            self.follows.books = true;
        }
        self.follows()
    }

    /// Something that counted as gone is kept again: it went back to where it lay. That is a fact, whatever the limits say.
    pub fn keep(&mut self, agent: &str, kept: &Amounts) -> Consequences {
        if let Some(books) = self.agents.get(agent) {
            self.ledger.raise_level(*books, kept);
            self.follows.books = true;
        }
        self.follows()
    }

    /// The books of the site, and of every agent that ran or may run, by name.
    pub fn statements(&mut self, now: Millis) -> Vec<Statement> {
        let policy = Arc::clone(&self.policy);
        for grant in &policy.grants {
            let _ = self.agent(&grant.agent);
        }
        let agents: Vec<_> = self.agents.iter().map(|(name, books)| (name.clone(), *books)).collect();
        let mut statements = Vec::with_capacity(agents.len() + 1);
        statements.push(Statement { agent: None, lines: self.lines(self.site, now) });
        for (name, books) in agents {
            statements.push(Statement { lines: self.lines(books, now), agent: Some(name) });
        }
        statements
    }

    fn lines(&mut self, books: BooksId, now: Millis) -> Vec<BalanceLine> {
        let mut lines = Vec::new();
        for (id, window) in [(books.minute(), Window::Minute), (books.day(), Window::Day)] {
            self.ledger.refill(id, now);
            let (account, limits) = (self.ledger.account(id), self.ledger.limits(id));
            for what in Resource::ALL {
                let (limit, spent, reserved) = (account.limit(limits, what), account.spent[what], account.held[what]);
                // A minute without a limit says nothing that the day does not say.
                let moved = window == Window::Day && (spent > 0 || reserved > 0);
                if limit.is_some() || moved {
                    let refills_in_s = account.refills_in_s(now).filter(|_| !what.is_level());
                    let given = account.given[what];
                    lines.push(BalanceLine { what, window, limit, given, spent, reserved, refills_in_s });
                }
            }
        }
        lines
    }

    /// The agent's books, opened when they are first needed, with the limits of its grant.
    pub(super) fn agent(&mut self, name: &str) -> BooksId {
        let books = match self.agents.get(name) {
            Some(books) => *books,
            None => {
                let books = self.ledger.open_books(Owner::Agent, Some(self.site));
                self.agents.insert(name.into(), books);
                books
            }
        };
        if let Some(grant) = self.policy.grants.iter().find(|grant| grant.agent == name) {
            self.ledger.limit_books(books, &grant.budget);
        }
        books
    }

    fn put_back(&mut self, id: BooksId, books: Books, kept: &Amounts) {
        let now = self.ledger.books(id);
        if now.day.held.is_zero() && now.minute.held.is_zero() {
            let mut books = books;
            books.write_off(kept);
            self.ledger.restore(id, books);
        }
    }
}
