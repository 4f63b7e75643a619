//! What a rule wants of people before a call goes ahead, who answered, and what an answer is good for. It asks nobody.
//!
//! A yes is bound to one exact call: its canonical arguments, the tool's schema, the component, the policy in force, a
//! nonce and an end. It is used once. It never helps against a forbid: what may not be done is not asked about.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::call::{NotARunId, RunId};
use crate::digest::Digest;
use crate::limits::{APPROVAL_TTL_MAX_MS, QUORUM_MAX};
use crate::refusal::Rule;
use crate::text;
use crate::time::Millis;

/// What a `[[require]]` rule wants of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Required {
    /// The rule that asks.
    pub rule: Rule,
    /// Whose yes counts.
    pub from: Approvers,
    /// How they show who they are.
    pub factor: Factor,
    /// How many different people must say yes; at least 1.
    pub quorum: u32,
    /// How long they have, and how long a yes waits to be used.
    pub ttl_ms: u64,
}

/// Whose yes counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approvers {
    /// Whoever may answer on this machine.
    Anyone,
    /// A member of this group.
    Group(String),
    /// This person.
    Person(String),
}

/// How a person shows who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Factor {
    /// By being the user that runs agents.
    Confirm,
    /// By a code of their authenticator app besides (RFC 6238).
    Totp,
}

impl Required {
    /// Ten minutes, for rules that do not say.
    pub const TTL_DEFAULT_MS: u64 = 10 * 60 * 1000;

    /// Whoever may answer on this machine says yes. The caller names the rule.
    pub(crate) fn of_anyone() -> Self {
        let (from, factor) = (Approvers::Anyone, Factor::Confirm);
        Self { rule: Rule::default(), from, factor, quorum: 1, ttl_ms: Self::TTL_DEFAULT_MS }
    }

    /// Why these demands make no sense together, for whoever reads the rule; none if they do.
    pub fn flaw(&self) -> Option<&'static str> {
        let named = self.from != Approvers::Anyone || self.quorum > 1;
        if !(1..=QUORUM_MAX).contains(&self.quorum) {
            return Some("a quorum is 1 to 16 people");
        }
        if !(1..=APPROVAL_TTL_MAX_MS).contains(&self.ttl_ms) {
            return Some("a `ttl` is longer than nothing and at most 30 days");
        }
        if named && self.factor == Factor::Confirm {
            return Some(
                "who may answer is known by a code only: a `from` or a `quorum` above 1 needs `factor = \"totp\"`",
            );
        }
        if matches!(&self.from, Approvers::Person(_)) && self.quorum > 1 {
            return Some("one person is no quorum");
        }
        None
    }
}

impl FromStr for Approvers {
    type Err = &'static str;

    /// `anyone`, `group:ops` or a person's name.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let name = text.strip_prefix("group:");
        if text::label(name.unwrap_or(text)).is_err() {
            return Err("is `anyone`, `group:NAME` or the name of an approver");
        }
        Ok(match (name, text) {
            (Some(group), _) => Self::Group(group.into()),
            (None, "anyone") => Self::Anyone,
            (None, person) => Self::Person(person.into()),
        })
    }
}

impl fmt::Display for Approvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::Person(person) => f.write_str(person),
        }
    }
}

impl Factor {
    /// The word of the policy language.
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Totp => "totp",
        }
    }

    /// Every factor.
    pub const ALL: [Self; 2] = [Self::Confirm, Self::Totp];
}

/// A question to people, by its nonce: random, so that no answer fits another one. Printed like a run's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ApprovalId(pub u64);

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RunId(self.0).fmt(f)
    }
}

impl fmt::Debug for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for ApprovalId {
    type Err = NotARunId;

    fn from_str(text: &str) -> Result<Self, NotARunId> {
        Ok(Self(text.parse::<RunId>()?.0))
    }
}

/// What a call is made of, by name; computed by whoever holds the bytes, at the question and again at the dispatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Facts {
    /// The call with its canonical arguments.
    pub call: Digest,
    /// The schema of the tool, or nothing.
    pub tool: Digest,
    /// The component that asks.
    pub component: Digest,
}

/// What a yes is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The question, which is its nonce.
    pub id: ApprovalId,
    /// Whose call.
    pub run: RunId,
    /// Which call.
    pub facts: Facts,
    /// The policy that asked.
    pub policy: Digest,
    /// From then on it is good for nothing.
    pub expires: Millis,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// The name, at most 64 bytes.
    pub name: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// True if a code proved it.
    pub proven: bool,
}

impl Approver {
    /// True if this is one of those who are asked.
    pub fn is_among(&self, asked: &Approvers) -> bool {
        match asked {
            Approvers::Anyone => true,
            Approvers::Group(group) => self.groups.iter().any(|theirs| theirs == group),
            Approvers::Person(person) => self.name == *person,
        }
    }
}

/// Why an answer does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no such question, or it was answered.
    #[error("this question is not open any more")]
    Closed,
    /// The time is over.
    #[error("this question has expired\nhint: the agent must ask again")]
    Expired,
    /// Somebody else is asked.
    #[error("`{name}` is not one of those who are asked\nhint: this needs a yes from {asked}")]
    NotAsked {
        /// Who answered.
        name: String,
        /// Whose yes counts.
        asked: Approvers,
    },
    /// It takes more than to sit at the machine.
    #[error("this needs a code")]
    NeedsCode,
    /// One person is one person.
    #[error("`{name}` has said yes already\nhint: this needs somebody else as well")]
    Twice {
        /// Who answered.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(from: &str, factor: Factor, quorum: u32) -> Required {
        let rule = Rule { id: "site/x".into(), file: "x.toml".into(), line: 1 };
        let from = from.parse().expect("it is well formed");
        Required { rule, from, factor, quorum, ttl_ms: Required::TTL_DEFAULT_MS }
    }

    #[test]
    fn those_who_are_asked_are_read_as_they_are_printed() {
        for text in ["anyone", "group:ops", "alice"] {
            assert_eq!(text.parse::<Approvers>().map(|from| std::format!("{from}")), Ok(text.into()));
        }
        for text in ["", "group:", "group:a b", "Älice", "group:group:a", "a:b"] {
            assert!(text.parse::<Approvers>().is_err(), "{text}");
        }
    }

    #[test]
    fn demands_that_nobody_could_check_are_flawed() {
        assert_eq!(required("anyone", Factor::Confirm, 1).flaw(), None);
        assert_eq!(required("group:ops", Factor::Totp, 2).flaw(), None);
        let flawed = [("anyone", Factor::Confirm, 2), ("alice", Factor::Confirm, 1), ("alice", Factor::Totp, 2)];
        for (from, factor, quorum) in flawed {
            assert!(required(from, factor, quorum).flaw().is_some(), "{from} {factor:?} {quorum}");
        }
        assert!(required("anyone", Factor::Totp, 0).flaw().is_some());
        assert!(Required { ttl_ms: 0, ..required("anyone", Factor::Totp, 1) }.flaw().is_some());
        assert!(Required { ttl_ms: u64::MAX, ..required("anyone", Factor::Totp, 1) }.flaw().is_some());
    }

    #[test]
    fn an_id_is_read_as_it_is_printed() {
        let id = ApprovalId(0x0123_4567_89ab_cdef);
        assert_eq!(std::format!("{id}").parse(), Ok(id));
    }
}
