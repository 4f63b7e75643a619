//! The kernel's own reasons to say no, in an admin's words. It only words; it decides nothing.

use alloc::format;
use alloc::string::{String, ToString};

use super::admission::No;
use super::ledger::Lack;
use crate::approval::Required;
use crate::budget::{Amounts, Resource};
use crate::manifest::Manifest;
use crate::policy::{Grant, Policy};
use crate::refusal::{Code, Refusal, Rule};
use crate::text;

pub(super) fn ended(because: &str) -> No {
    Refusal::new(Code::Ended, because).into()
}

pub(super) fn busy(because: &str, hint: &str) -> No {
    Refusal::new(Code::Busy, because).hint(hint).into()
}

pub(super) fn withdrawn(agent: &str) -> No {
    Refusal::new(Code::NoGrant, format!("the grant of agent `{agent}` was withdrawn while it ran"))
        .hint("put its file back into the policy directory if that was not meant")
        .into()
}

pub(super) fn expired(grant: &Grant) -> No {
    Refusal::new(Code::Expired, format!("the grant of agent `{}` has expired", grant.agent))
        .rule(Rule { id: format!("{}/expires", grant.agent), ..grant.rule.clone() })
        .hint(format!("set a later `expires` in {}", grant.rule.file))
        .into()
}

/// No file grants anything to this package.
pub(super) fn no_grant(policy: &Policy, agent: &str, manifest: &Manifest) -> No {
    let agent = text::show(agent);
    let Some(grant) = policy.grants.iter().find(|grant| grant.agent == agent) else {
        return Refusal::new(Code::NoGrant, format!("no policy file grants anything to agent `{agent}`"))
            .hint(format!(
                "`agentry inspect FILE --grant` prints a grant made from what the package asks for; review it and save it as {agent}.toml in the policy directory"
            ))
            .into();
    };
    let pattern = grant.package.as_ref().map(ToString::to_string).unwrap_or_default();
    let package = format!("{}@{}", manifest.name, manifest.version);
    Refusal::new(Code::NoGrant, format!("the grant of agent `{agent}` is for another package"))
        .rule(Rule { id: format!("{agent}/package"), ..grant.rule.clone() })
        .argument("package", &package, pattern.clone())
        .hint(format!("if you trust this one, change `package = \"{pattern}\"` in {}", grant.rule.file))
        .into()
}

/// A person has to say yes first.
pub(super) fn not_approved(required: &Required) -> No {
    Refusal::new(Code::NotApproved, format!("this needs a yes from {}", required.from))
        .rule(required.rule.clone())
        .hint("nobody could be asked")
        .into()
}

/// A budget does not hold what is needed.
pub(super) fn exhausted(grant: &Grant, lack: &Lack, worst: &Amounts) -> No {
    let Lack { what, left, limit, daily, refills_in_s } = *lack;
    let (key, line) = grant.budget_key(what, daily);
    let span = if daily { "today" } else { "this run" };
    let mut because = format!("the budget of {} for {span} does not hold the most that this can take", what.name());
    if limit == u64::MAX {
        because = format!("no account can hold so much {}", what.name());
    }
    let mut hint = match &key {
        Some(key) => format!("raise `{key}` under [budget] in {}", grant.rule.file),
        None => String::from("ask for less"),
    };
    if let Some(seconds) = refills_in_s {
        hint.push_str(&format!(", or wait: it refills in {}", duration(seconds)));
    }
    Refusal::new(Code::Exhausted { what, refills_in_s }, because)
        .rule(Rule { id: format!("{}/budget", grant.agent), file: grant.rule.file.clone(), line })
        .argument(
            key.unwrap_or(what.name()),
            &what.show(worst[what]),
            format!("up to {} (limit {})", what.show(left), what.show(limit)),
        )
        .hint(hint)
        .into()
}

/// Nothing at all is left of what a run needs to start.
pub(super) fn empty(grant: &Grant, what: Resource, refills_in_s: Option<u64>) -> No {
    let limit = grant.day.get(what).or(grant.run.get(what)).unwrap_or(0);
    let daily = grant.day.get(what).is_some();
    exhausted(grant, &Lack { what, left: 0, limit, daily, refills_in_s }, &Amounts::of(what, 1))
}

fn duration(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds % 3600 / 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}
