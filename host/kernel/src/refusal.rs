//! How the kernel says no: which rule, where it stands and what would change the answer.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::budget::Resource;
use crate::call::{CallId, RunId};
use crate::text;

/// Where a rule stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id, or its key where it has none: `reporter/llm`.
    pub id: String,
    /// The file, as it was given.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

/// The argument that did not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// For example `model`.
    pub name: String,
    /// What the guest passed, cut to a line.
    pub value: String,
    /// What would have been allowed, as the rule says it.
    pub allowed: String,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Code {
    /// No grant allows it.
    NoGrant,
    /// The package's manifest does not ask for it.
    NotDeclared,
    /// A grant covers the thing, but not with this argument.
    Argument,
    /// The grant has expired.
    Expired,
    /// Money is limited and nobody said what this model costs.
    NoPrice,
    /// The admin has no such thing.
    Unknown,
    /// A budget does not hold the worst case.
    Exhausted {
        /// Which.
        what: Resource,
        /// Seconds until it refills, if it does.
        refills_in_s: Option<u64>,
    },
    /// Too much at once; later it may go.
    Busy,
    /// It stands in the syscall table, and this version cannot do it yet.
    Later,
    /// The run is over.
    Ended,
    /// A site rule forbids it; no grant can override that.
    Forbidden,
    /// A grant gives it, but the site's ceiling does not.
    AboveCeiling,
    /// A rule tests what the run has read, and the run has read too much.
    Label,
    /// A person has to say yes, and did not.
    NotApproved,
    /// An admin has stopped every new effect.
    Locked,
    /// It may be done, but not so often.
    Rate,
    /// The agent may do it, but not the one for which it runs.
    Delegation,
}

impl Code {
    /// One of each, in the order of the journal.
    pub const ALL: [Self; 17] = [
        Self::NoGrant,
        Self::NotDeclared,
        Self::Argument,
        Self::Expired,
        Self::NoPrice,
        Self::Unknown,
        Self::Exhausted { what: Resource::Usd, refills_in_s: None },
        Self::Busy,
        Self::Later,
        Self::Ended,
        Self::Forbidden,
        Self::AboveCeiling,
        Self::Label,
        Self::NotApproved,
        Self::Locked,
        Self::Rate,
        Self::Delegation,
    ];

    /// The code of a word; what an exhausted budget counts is not in the word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoGrant => "no-grant",
            Self::NotDeclared => "not-declared",
            Self::Argument => "argument",
            Self::Expired => "expired",
            Self::NoPrice => "no-price",
            Self::Unknown => "unknown",
            Self::Exhausted { .. } => "exhausted",
            Self::Busy => "busy",
            Self::Later => "later",
            Self::Ended => "ended",
            Self::Forbidden => "forbidden",
            Self::AboveCeiling => "above-ceiling",
            Self::Label => "label",
            Self::NotApproved => "not-approved",
            Self::Locked => "locked",
            Self::Rate => "rate",
            Self::Delegation => "delegation",
        }
    }
}

/// A no, whole: for the admin. The agent gets the code, the argument's name and the reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Who asked.
    pub agent: String,
    /// What for: a syscall's name, or `run` for the start of a run.
    pub wanted: String,
    /// Why not.
    pub code: Code,
    /// The rule that decided; none if it is the absence of one.
    pub rule: Option<Rule>,
    /// The argument that did not fit.
    pub argument: Option<Argument>,
    /// One sentence, more exact than the code.
    pub because: String,
    /// What would change the answer.
    pub hint: String,
    /// Where it happened; none for the start of a run.
    pub reference: Option<(RunId, CallId)>,
}

/// Addresses that the host's guard lets a request go to.
pub const PUBLIC: &str = "public addresses";

/// The same, where a rule could name the others.
pub const PUBLIC_OR_PRIVATE: &str =
    "public addresses, and with `private = true` those of this machine and its networks";

/// What the host's own guard found in the way of a call that policy let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The argument that leads there.
    pub name: &'static str,
    /// What the guest passed.
    pub value: String,
    /// What would have been allowed.
    pub allowed: String,
    /// One sentence for the admin; the guest does not get it.
    pub because: String,
    /// What would change the answer.
    pub hint: String,
}

impl Refusal {
    /// A no whose asker, call and reference the kernel adds before it leaves.
    pub(crate) fn new(code: Code, because: impl Into<String>) -> Self {
        Self {
            agent: String::new(),
            wanted: String::new(),
            code,
            rule: None,
            argument: None,
            because: because.into(),
            hint: String::new(),
            reference: None,
        }
    }

    /// A no of the host's own guard: policy said yes, and what an address or a secret leads to was seen afterwards. No rule says it.
    pub fn barred(agent: &str, wanted: &str, reference: (RunId, CallId), bar: Bar) -> Self {
        let Bar { name, value, allowed, because, hint } = bar;
        let refusal = Self::new(Code::Forbidden, because).argument(name, &value, allowed).hint(hint);
        Self { agent: agent.into(), wanted: wanted.into(), reference: Some(reference), ..refusal }
    }

    /// True if the host's own guard said it, and no policy.
    pub fn is_barred(&self) -> bool {
        self.code == Code::Forbidden && self.rule.is_none() && self.argument.is_some()
    }

    /// True if the guard would have let it pass under a rule with `private = true`.
    pub fn is_mended_by_private(&self) -> bool {
        self.is_barred() && self.argument.as_ref().is_some_and(|argument| argument.allowed == PUBLIC_OR_PRIVATE)
    }

    /// The rule that decided.
    pub(crate) fn rule(self, rule: Rule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// The argument that did not fit; the value may be a guest's.
    pub(crate) fn argument(self, name: &str, value: &str, allowed: impl Into<String>) -> Self {
        let argument = Argument { name: name.into(), value: text::show(value), allowed: allowed.into() };
        Self { argument: Some(argument), ..self }
    }

    /// What would change the answer.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if matches!(self.code, Code::Exhausted { .. }) { "exhausted" } else { "denied" };
        // Its words are ours, and one out of a file may have any.
        let line = |words: &String| text::line(words);
        write!(f, "{verb}  {} → {}: {}", line(&self.agent), line(&self.wanted), line(&self.because))?;
        if let Some(rule) = &self.rule {
            write!(f, "\n  rule  {}   {}:{}", line(&rule.id), line(&rule.file), rule.line)?;
        }
        if let Some(Argument { name, value, allowed }) = &self.argument {
            write!(f, "\n  arg   {} = {}, allowed {}", line(name), line(value), line(allowed))?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  hint  {}", line(&self.hint))?;
        }
        if let Some((run, call)) = self.reference {
            write!(f, "\n  ref   {run}/{call}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(code));
        }
    }

    #[test]
    fn a_word_that_is_no_code_is_none() {
        assert_eq!(Code::from_word("no-grants"), None);
    }
}
