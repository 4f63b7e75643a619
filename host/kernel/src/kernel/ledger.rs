//! Accounts as a tree: a child draws on its run, a run on its agent, an agent on the site. A hold is taken on every
//! account of the way up or on none.
//!
//! It only counts: who may ask and for what is decided elsewhere. An agent and the site have one account a window, and
//! these stand in one chain, so that a window is nothing but one more account on the way.

use alloc::vec::Vec;

use crate::budget::{Account, Amounts, Books, Limits, Resource, Shortage, Window};
use crate::limits::WRITTEN_DAY_DEFAULT_BYTES;
use crate::policy::Budget;
use crate::time::Millis;

/// An account in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AccountId(usize);

/// Whose an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Site,
    Agent,
    Run,
    /// A run that draws on another run.
    Child,
}

/// The books of an agent or of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BooksId {
    minute: AccountId,
    day: AccountId,
}

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    nodes: Vec<Node>,
    free: Vec<AccountId>,
}

#[derive(Debug)]
struct Node {
    owner: Owner,
    account: Account,
    limits: Limits,
    parent: Option<AccountId>,
    /// What its parent, a run, has set aside for it: what it takes of these is held there already.
    share: Limits,
    /// Accounts that draw on it.
    below: usize,
    /// Nothing is taken from it any more; its place is another's once nothing draws on it either.
    over: bool,
}

/// An account that does not hold what was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    pub(super) what: Resource,
    pub(super) left: u64,
    pub(super) limit: u64,
    pub(super) owner: Owner,
    pub(super) window: Window,
    pub(super) refills_in_s: Option<u64>,
}

impl BooksId {
    /// The account of a minute.
    pub(super) fn minute(self) -> AccountId {
        self.minute
    }

    /// The account of a day, which also has what stands at a level.
    pub(super) fn day(self) -> AccountId {
        self.day
    }
}

impl Ledger {
    /// Opens the account of a run that draws on the agent's books.
    pub(super) fn open(&mut self, agent: BooksId, limits: Limits) -> AccountId {
        self.insert(Node::new(Owner::Run, Account::default(), limits, Some(agent.minute)))
    }

    /// Opens an account below a run's, and sets `share` aside for it there. Of what the share does not name, it has no
    /// limit of its own and draws on the run as it goes. `moved` is held for the run already, and given back before.
    pub(super) fn split(
        &mut self,
        run: AccountId,
        share: &Limits,
        moved: &Amounts,
        now: Millis,
    ) -> Result<AccountId, Lack> {
        let aside = aside(share);
        let node = &self.nodes[run.0];
        if let Some(what) = node.account.lacks(&node.limits, &aside.minus(*moved)) {
            return Err(node.lack(what, now));
        }
        self.settle(run, moved, &Amounts::ZERO, now);
        self.nodes[run.0].account.hold(&aside);
        let child = Node::new(Owner::Child, Account::default(), *share, Some(run));
        Ok(self.insert(Node { share: *share, ..child }))
    }

    /// Opens the books of the site, or of an agent below it.
    pub(super) fn open_books(&mut self, owner: Owner, above: Option<BooksId>) -> BooksId {
        let Books { minute, day } = Books::default();
        let day = self.insert(Node::new(owner, day, Limits::NONE, above.map(|books| books.minute)));
        BooksId { minute: self.insert(Node::new(owner, minute, Limits::NONE, Some(day))), day }
    }

    pub(super) fn books(&self, id: BooksId) -> Books {
        Books { minute: *self.account(id.minute), day: *self.account(id.day) }
    }

    /// Puts books back as they were stored.
    pub(super) fn restore(&mut self, id: BooksId, books: Books) {
        self.nodes[id.minute.0].account = books.minute;
        self.nodes[id.day.0].account = books.day;
    }

    /// Sets what its policy says, and what holds for every agent that none says more or less of.
    pub(super) fn limit_books(&mut self, id: BooksId, budget: &Budget) {
        self.set_limits(id.minute, budget.minute);
        let day = match self.nodes[id.day.0].owner {
            Owner::Agent => budget.day.or(Resource::Written, WRITTEN_DAY_DEFAULT_BYTES),
            Owner::Site | Owner::Run | Owner::Child => budget.day,
        };
        self.set_limits(id.day, day);
    }

    /// Closes the account of a run that nothing draws on any more. What was set aside for it and not spent goes back.
    pub(super) fn close(&mut self, id: AccountId) {
        let Node { parent, share, account, .. } = &self.nodes[id.0];
        let rest = aside(share).minus(account.spent);
        if let Some(parent) = parent.filter(|_| !rest.is_zero()) {
            let account = &mut self.nodes[parent.0].account;
            account.held = account.held.minus(rest);
        }
        self.nodes[id.0].share = Limits::NONE;
        self.vacate(id);
    }

    /// Something that counted as spent did not happen.
    pub(super) fn take_back(
        &mut self,
        leaf: Option<AccountId>,
        books: impl Iterator<Item = BooksId>,
        returned: &Amounts,
        since: Millis,
    ) {
        let accounts = books.flat_map(|books| [books.minute, books.day]).chain(leaf);
        for id in accounts.collect::<Vec<_>>() {
            self.nodes[id.0].account.take_back(returned, since);
        }
    }

    /// Closes the account of a run that goes on later: what it holds above stays held.
    pub(super) fn abandon(&mut self, id: AccountId) {
        self.nodes[id.0].share = Limits::NONE;
        self.vacate(id);
    }

    pub(super) fn account(&self, id: AccountId) -> &Account {
        &self.nodes[id.0].account
    }

    pub(super) fn limits(&self, id: AccountId) -> &Limits {
        &self.nodes[id.0].limits
    }

    pub(super) fn set_limits(&mut self, id: AccountId, limits: Limits) {
        self.nodes[id.0].limits = limits;
    }

    /// Brings an account up to the time.
    pub(super) fn refill(&mut self, id: AccountId, now: Millis) {
        self.nodes[id.0].account.refill(now);
    }

    /// Whatever these books counted in periods that have not come counts for those of now; true if there was any.
    pub(super) fn set_back(&mut self, books: BooksId, now: Millis) -> bool {
        let back = [books.minute, books.day].map(|id| self.nodes[id.0].account.set_back(now));
        back.contains(&true)
    }

    /// The account above.
    pub(super) fn above(&self, id: AccountId) -> Option<AccountId> {
        self.nodes[id.0].parent
    }

    /// What the whole way up leaves of a resource; none if no account limits it.
    pub(super) fn left(&mut self, leaf: AccountId, resource: Resource, now: Millis) -> Option<u64> {
        let mut least: Option<u64> = None;
        self.climb(leaf, |node, shared| {
            node.account.refill(now);
            if shared.get(resource).is_some() {
                return;
            }
            if let Some(left) = node.account.left(&node.limits, resource) {
                least = Some(least.map_or(left, |least| least.min(left)));
            }
        });
        least
    }

    /// Sets `worst` aside on every account of the way up, or says which one lacks and holds nothing.
    pub(super) fn hold(&mut self, leaf: AccountId, worst: &Amounts, now: Millis) -> Result<(), Lack> {
        if worst.is_zero() {
            return Ok(());
        }
        match self.lack(leaf, worst, now) {
            Some(lack) => Err(lack),
            None => {
                self.climb(leaf, |node, shared| node.account.hold(&without(worst, shared)));
                Ok(())
            }
        }
    }

    /// All that lacks on the way up for `worst`, if only the run itself and the books of its agent lack it: a share and the
    /// site's books are never raised, and neither is a level.
    pub(super) fn shortages(&mut self, leaf: AccountId, worst: &Amounts, now: Millis) -> Option<Vec<Shortage>> {
        let mut short = Some(Vec::new());
        self.climb(leaf, |node, shared| {
            node.account.refill(now);
            let open = without(worst, shared);
            for what in Resource::ALL.into_iter().filter(|what| open[*what] > 0) {
                let limit = node.account.limit(&node.limits, what).unwrap_or(u64::MAX);
                let (spent, reserved) = (node.account.spent[what], node.account.held[what]);
                // A reload may have set the limit below what is gone already: that lacks, too.
                let needed = spent.checked_add(reserved).and_then(|gone| gone.checked_add(open[what]));
                let more = needed.map(|needed| needed.saturating_sub(limit));
                let raisable = matches!(node.owner, Owner::Run | Owner::Agent) && !what.is_level();
                let window = node.account.period.window();
                match (more, &mut short) {
                    (Some(0), _) => {}
                    (Some(more), Some(short)) if raisable => {
                        short.push(Shortage { what, window, limit, spent, reserved, more });
                    }
                    _ => short = None,
                }
            }
        });
        short
    }

    /// Puts a run's account back as it stood: what it holds its agent's books hold already. What a child has spent is gone from the
    /// runs above it as well.
    pub(super) fn carry(&mut self, leaf: AccountId, held: &Amounts, spent: &Amounts, given: &Amounts) {
        self.nodes[leaf.0].account.give(given);
        self.climb(leaf, |node, shared| {
            if matches!(node.owner, Owner::Run | Owner::Child) {
                let out_of_share = Amounts::by(|what| if shared.get(what).is_some() { spent[what] } else { 0 });
                node.account.held = node.account.held.minus(out_of_share).plus(without(held, shared));
                node.account.spent = node.account.spent.plus(*spent);
            }
        });
    }

    /// Adds what lacks to the run's own account and the books of its agent.
    pub(super) fn raise(&mut self, leaf: AccountId, short: &[Shortage]) {
        self.climb(leaf, |node, _| {
            let window = node.account.period.window();
            if matches!(node.owner, Owner::Run | Owner::Agent) {
                for Shortage { what, more, .. } in short.iter().filter(|short| short.window == window) {
                    node.account.give(&Amounts::of(*what, *more));
                }
            }
        });
    }

    /// Takes back of what people added what would lift an account above these limits.
    pub(super) fn cap_given(&mut self, id: AccountId, most: &Limits) {
        let Node { account, limits, .. } = &mut self.nodes[id.0];
        account.given = Amounts::by(|what| {
            let room = most.get(what).map_or(u64::MAX, |most| most.saturating_sub(limits.get(what).unwrap_or(0)));
            account.given[what].min(room)
        });
    }

    /// The first account on the way up that does not hold `worst`.
    pub(super) fn lack(&mut self, leaf: AccountId, worst: &Amounts, now: Millis) -> Option<Lack> {
        let mut lack = None;
        self.climb(leaf, |node, shared| {
            node.account.refill(now);
            if lack.is_none() {
                let open = without(worst, shared);
                lack = node.account.lacks(&node.limits, &open).map(|what| node.lack(what, now));
            }
        });
        lack
    }

    /// Gives `held` back on the way up and takes `spent`. Each account takes what its limits leave; the least that any
    /// of them took is returned. What comes out of a share was held above since the share was made.
    pub(super) fn settle(&mut self, leaf: AccountId, held: &Amounts, spent: &Amounts, now: Millis) -> Amounts {
        let mut taken = *spent;
        if held.is_zero() && spent.is_zero() {
            return taken;
        }
        self.climb(leaf, |node, shared| {
            node.account.refill(now);
            let mut part = (*held, *spent);
            for what in Resource::ALL.into_iter().filter(|what| shared.get(*what).is_some()) {
                let out_of_share = if what.divides() { taken[what] } else { 0 };
                (part.0[what], part.1[what]) = (out_of_share, out_of_share);
            }
            let took = node.account.settle(&node.limits, &part.0, &part.1);
            taken =
                Amounts::by(|what| if shared.get(what).is_some() { taken[what] } else { taken[what].min(took[what]) });
        });
        taken
    }

    /// Lowers a level on the way up from the books of the agent that kept it.
    pub(super) fn lower(&mut self, books: BooksId, freed: &Amounts) {
        self.climb(books.day, |node, _| node.account.lower(freed));
    }

    /// Raises a level again on the way up from the books of the agent that keeps it.
    pub(super) fn raise_level(&mut self, books: BooksId, kept: &Amounts) {
        self.climb(books.day, |node, _| node.account.raise_level(kept));
    }

    /// Visits the account and all above it. With each goes what lower accounts have a share of: of that, a run has
    /// already set aside what its child takes. Shares end with the runs: the books of agent and site hold everything.
    fn climb(&mut self, leaf: AccountId, mut visit: impl FnMut(&mut Node, &Limits)) {
        let mut next = Some(leaf);
        let mut shared = Limits::NONE;
        while let Some(id) = next {
            let node = &mut self.nodes[id.0];
            if matches!(node.owner, Owner::Agent | Owner::Site) {
                shared = Limits::NONE;
            }
            visit(node, &shared);
            if node.owner == Owner::Child {
                shared = Resource::ALL.into_iter().fold(shared, |shared, what| match node.share.get(what) {
                    None if what.divides() => shared,
                    share => shared.with(what, share.unwrap_or(0)),
                });
            }
            next = node.parent;
        }
    }

    /// Frees the place of an account, unless others draw on it: then with the last of them.
    fn vacate(&mut self, id: AccountId) {
        self.nodes[id.0].over = true;
        let mut next = Some(id);
        while let Some(id) = next {
            let Node { over: true, below: 0, parent, .. } = self.nodes[id.0] else { return };
            self.free.push(id);
            if let Some(above) = parent {
                self.nodes[above.0].below -= 1;
            }
            next = parent;
        }
    }

    fn insert(&mut self, node: Node) -> AccountId {
        if let Some(above) = node.parent {
            self.nodes[above.0].below += 1;
        }
        if let Some(id) = self.free.pop() {
            self.nodes[id.0] = node;
            return id;
        }
        self.nodes.push(node);
        AccountId(self.nodes.len() - 1)
    }
}

impl Node {
    fn new(owner: Owner, account: Account, limits: Limits, parent: Option<AccountId>) -> Self {
        Self { owner, account, limits, parent, share: Limits::NONE, below: 0, over: false }
    }

    fn lack(&self, what: Resource, now: Millis) -> Lack {
        let limit = self.account.limit(&self.limits, what).unwrap_or(u64::MAX);
        Lack {
            what,
            left: self.account.left(&self.limits, what).unwrap_or_else(|| self.account.room(u64::MAX, what)),
            limit,
            owner: self.owner,
            window: self.account.period.window(),
            refills_in_s: self.account.refills_in_s(now).filter(|_| !what.is_level()),
        }
    }
}

/// What a share takes out of its run's account.
fn aside(share: &Limits) -> Amounts {
    Amounts::by(|what| if what.divides() { share.get(what).unwrap_or(0) } else { 0 })
}

/// What of it is not in a share.
fn without(amounts: &Amounts, shared: &Limits) -> Amounts {
    Amounts::by(|what| if shared.get(what).is_some() { 0 } else { amounts[what] })
}
