//! What decisions rest on: the rule of a grant that gave the right, under the policy in force. The journal of a run names each
//! once, by a number; after that the way to yes carries the number alone and allocates nothing.

use alloc::collections::BTreeMap;
use alloc::format;

use super::{Consequences, Kernel};
use crate::call::RunId;
use crate::journal::{BasisId, Entry};
use crate::policy::Grant;
use crate::refusal::Rule;

/// What gave the right to a call, by its place in the grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grounds {
    /// Nothing had to: every run may, or the word of its package is enough.
    Open,
    Llm,
    Memory,
    Files(usize),
    Tool(usize),
    Http(usize),
    Human,
    Agents,
    /// It was refused. A refusal carries its own rule.
    No,
}

/// Those that a run's decisions rested on since its policy last changed, by number.
#[derive(Debug, Default)]
pub(super) struct Bases {
    known: BTreeMap<Grounds, BasisId>,
    last: u32,
}

impl Bases {
    /// The number of this ground; true if nobody has named it yet.
    pub(super) fn number(&mut self, ground: Grounds) -> (BasisId, bool) {
        if let Some(id) = self.known.get(&ground) {
            return (*id, false);
        }
        self.last = self.last.saturating_add(1);
        let id = BasisId(self.last);
        self.known.insert(ground, id);
        (id, true)
    }

    /// Another policy is in force: the same place in it is another rule. Numbers are not used again.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

impl Grant {
    /// The rule at this place.
    pub(super) fn rule_at(&self, ground: Grounds) -> Option<Rule> {
        let key = |key: &str, line: u32| self.rule_in(format!("{}/{key}", self.agent), line);
        let rights = &self.rights;
        match ground {
            Grounds::Open | Grounds::No => None,
            Grounds::Llm => rights.llm.as_ref().map(|right| key("llm", right.line)),
            Grounds::Memory => rights.memory.as_ref().map(|right| key("memory", right.line)),
            Grounds::Files(place) => rights.files.get(place).map(|right| key("files", right.line)),
            Grounds::Agents => rights.agents.as_ref().map(|right| key("agents", right.line)),
            Grounds::Tool(place) => rights.tools.get(place).map(|right| self.rule_in(right.id.clone(), right.line)),
            Grounds::Human => rights.human.as_ref().map(|right| key("human", right.line)),
            Grounds::Http(place) => rights.http.get(place).map(|right| self.rule_in(right.id.clone(), right.line)),
        }
    }

    fn rule_in(&self, id: alloc::string::String, line: u32) -> Rule {
        Rule { id, file: self.rule.file.clone(), line }
    }
}

impl Kernel {
    /// What a refusal rests on besides its own rule: the policy in force.
    pub fn basis_of_no(&mut self, run: RunId) -> (BasisId, Consequences) {
        let basis = self.rest_on(run, Grounds::No);
        (basis, self.follows())
    }

    /// The number under which this run's journal has the ground; if it does not have it yet, the entry that names it follows.
    pub(super) fn rest_on(&mut self, run: RunId, ground: Grounds) -> BasisId {
        let Some(run) = self.runs.get_mut(&run) else { return BasisId::NONE };
        let (id, new) = run.bases.number(ground);
        if new {
            let grant = run.grant.and_then(|grant| self.policy.grants.get(grant));
            let rule = grant.and_then(|grant| grant.rule_at(ground));
            self.follows.entries.push(Entry::Basis { id, policy: self.policy.epoch, rule });
        }
        id
    }
}
