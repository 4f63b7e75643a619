//! Accounts in chains: a run draws on its agent's day. A hold is taken on every account of the chain or on none.
//!
//! It only counts: who may ask and for what is decided elsewhere. A site above the agents or a child below a run is one
//! more account with a parent.

use alloc::vec::Vec;

use crate::budget::{Account, Amounts, Limits, Resource};
use crate::time::Millis;

/// An account in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountId(usize);

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    nodes: Vec<Node>,
    free: Vec<AccountId>,
}

#[derive(Debug)]
struct Node {
    account: Account,
    limits: Limits,
    parent: Option<AccountId>,
}

/// An account that does not hold what was asked for.
#[derive(Debug)]
pub(super) struct Lack {
    pub(super) what: Resource,
    pub(super) left: u64,
    pub(super) limit: u64,
    pub(super) daily: bool,
    pub(super) refills_in_s: Option<u64>,
}

impl Ledger {
    /// Opens an account that draws on `parent`.
    pub(super) fn open(&mut self, parent: Option<AccountId>, account: Account, limits: Limits) -> AccountId {
        let node = Node { account, limits, parent };
        if let Some(id) = self.free.pop() {
            self.nodes[id.0] = node;
            return id;
        }
        self.nodes.push(node);
        AccountId(self.nodes.len() - 1)
    }

    /// Closes an account that nothing draws on any more.
    pub(super) fn close(&mut self, id: AccountId) {
        self.free.push(id);
    }

    pub(super) fn account(&self, id: AccountId) -> &Account {
        &self.nodes[id.0].account
    }

    pub(super) fn account_mut(&mut self, id: AccountId) -> &mut Account {
        &mut self.nodes[id.0].account
    }

    pub(super) fn limits(&self, id: AccountId) -> &Limits {
        &self.nodes[id.0].limits
    }

    pub(super) fn set_limits(&mut self, id: AccountId, limits: Limits) {
        self.nodes[id.0].limits = limits;
    }

    /// What the whole chain leaves of a resource; none if no account limits it.
    pub(super) fn left(&mut self, leaf: AccountId, resource: Resource, now: Millis) -> Option<u64> {
        let mut least: Option<u64> = None;
        self.climb(leaf, |node| {
            node.account.refill(now);
            if let Some(left) = node.account.left(&node.limits, resource) {
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        });
        least
    }

    /// Sets `worst` aside on every account of the chain, or says which one lacks and holds nothing.
    pub(super) fn hold(&mut self, leaf: AccountId, worst: &Amounts, now: Millis) -> Result<(), Lack> {
        if worst.is_zero() {
            return Ok(());
        }
        let mut lack = None;
        self.climb(leaf, |node| {
            node.account.refill(now);
            if lack.is_none() {
                lack = node.account.lacks(&node.limits, worst).map(|what| node.lack(what, now));
            }
        });
        match lack {
            Some(lack) => Err(lack),
            None => {
                self.climb(leaf, |node| node.account.hold(worst));
                Ok(())
            }
        }
    }

    /// Gives `held` back along the chain and takes `spent`. Each account takes what its limits leave; the least that
    /// any of them took is returned.
    pub(super) fn settle(&mut self, leaf: AccountId, held: &Amounts, spent: &Amounts, now: Millis) -> Amounts {
        let mut taken = *spent;
        if held.is_zero() && spent.is_zero() {
            return taken;
        }
        self.climb(leaf, |node| {
            node.account.refill(now);
            taken = taken.min(node.account.settle(&node.limits, held, spent));
        });
        taken
    }

    fn climb(&mut self, leaf: AccountId, mut visit: impl FnMut(&mut Node)) {
        let mut next = Some(leaf);
        while let Some(id) = next {
            let node = &mut self.nodes[id.0];
            visit(node);
            next = node.parent;
        }
    }
}

impl Node {
    fn lack(&self, what: Resource, now: Millis) -> Lack {
        let limit = self.limits.get(what).unwrap_or(u64::MAX);
        Lack {
            what,
            left: self.account.left(&Limits::NONE.with(what, limit), what).unwrap_or(0),
            limit,
            daily: self.account.day.is_some(),
            refills_in_s: self.account.refills_in_s(now),
        }
    }
}
