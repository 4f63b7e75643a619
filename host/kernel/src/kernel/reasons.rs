//! The kernel's own reasons to say no, in an admin's words. It only words; it decides nothing.

use alloc::format;
use alloc::string::{String, ToString};

use super::admission::No;
use super::ledger::{Lack, Owner};
use super::{Lock, Start};
use crate::approval::Required;
use crate::budget::{Amounts, Resource};
use crate::limits::APPROVAL_TEXT_MAX_BYTES;
use crate::policy::{Budget, Grant, Policy};
use crate::refusal::{Code, Refusal, Rule};
use crate::{text, time};

pub(super) fn ended(because: &str) -> No {
    Refusal::new(Code::Ended, because).into()
}

pub(super) fn busy(because: &str, hint: &str) -> No {
    Refusal::new(Code::Busy, because).hint(hint).into()
}

/// An admin has stopped everything.
pub(super) fn locked(lock: &Lock) -> No {
    let mut because = String::from("an admin has stopped every new effect");
    if !lock.because.is_empty() {
        because.push_str(&format!(": {}", text::show(&lock.because)));
    }
    Refusal::new(Code::Locked, because).hint("`agentry policy unlock` lets agents go on").into()
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
pub(super) fn no_grant(policy: &Policy, start: &Start) -> No {
    let (agent, manifest) = (text::show(&start.agent), &start.manifest);
    let Some(grant) = policy.grants.iter().find(|grant| grant.agent == agent) else {
        return Refusal::new(Code::NoGrant, format!("no policy file grants anything to agent `{agent}`"))
            .hint(format!(
                "`agentry inspect FILE --grant` prints a grant made from what the package asks for; review it and save it as 50-{agent}.toml in the policy directory"
            ))
            .into();
    };
    if let Some(wanted) = grant.publisher.filter(|wanted| start.signer != Some(*wanted))
        && grant.package.as_ref().is_none_or(|pattern| pattern.fits(manifest))
    {
        let because = match start.signer {
            Some(_) => format!("the grant of agent `{agent}` is for a package that another publisher signed"),
            None => format!(
                "the grant of agent `{agent}` is for a package that its publisher signed, and this file is not installed here"
            ),
        };
        let signed = start.signer.map_or_else(|| "nobody that is known here".to_string(), |key| key.to_string());
        return Refusal::new(Code::NoGrant, because)
            .rule(Rule { id: format!("{agent}/publisher"), ..grant.rule.clone() })
            .argument("signed by", &signed, wanted.to_string())
            .hint(format!(
                "`agentry install FILE` looks at its signature and installs it; a file that is run as it lies has none. Or change `publisher` in {}",
                grant.rule.file
            ))
            .into();
    }
    let pattern = grant.package.as_ref().map(ToString::to_string).unwrap_or_default();
    let package = format!("{}@{}", manifest.name, manifest.version);
    Refusal::new(Code::NoGrant, format!("the grant of agent `{agent}` is for another package"))
        .rule(Rule { id: format!("{agent}/package"), ..grant.rule.clone() })
        .argument("package", &package, pattern.clone())
        .hint(format!("if you trust this one, change `package = \"{pattern}\"` in {}", grant.rule.file))
        .into()
}

/// A person has to say yes, and there is nobody to ask.
pub(super) fn nobody_to_ask(required: &Required) -> No {
    let because = format!("this needs a yes from {}, and nobody can be asked here", asked(required));
    not_approved(required, because, "run it at a terminal, or with `--wait` and answer by `agentry approve`")
}

/// A question to a person where there is none.
pub(super) fn nobody_to_answer() -> No {
    Refusal::new(Code::NotApproved, "this is a question to a person, and nobody can be asked here")
        .hint("run it at a terminal, or with `--wait` and answer by `agentry answer`")
        .into()
}

/// A person has to say yes, and cannot be asked about this.
pub(super) fn not_askable(required: &Required, why: &str) -> No {
    let because = format!("this needs a yes from {}, and {why}", asked(required));
    not_approved(required, because, "a call that people allow is short and is text")
}

/// Nobody has answered.
pub(super) fn unanswered(required: &Required, expired: bool) -> No {
    let why = if expired { "in time" } else { "before it gave up" };
    let because = format!("this needs a yes from {}, and nobody answered {why}", asked(required));
    not_approved(required, because, "`agentry approvals` lists open questions; a longer `ttl` leaves more time")
}

/// Somebody said no.
pub(super) fn said_no(required: &Required, who: &str, because: &str) -> No {
    let because = format!("{} said no: {}", text::show(who), text::show_up_to(APPROVAL_TEXT_MAX_BYTES, because));
    not_approved(required, because, "a person decided so; nothing in a policy changes it")
}

/// The policy that asked is not in force any more.
pub(super) fn void(required: &Required) -> No {
    let because = "the policy changed while people were asked, so their answer is void";
    not_approved(required, because, "the agent may ask again under the policy of now")
}

/// The tool that people were asked about is gone, or not what it was.
pub(super) fn other_tool(required: &Required) -> No {
    let because = "the tool changed while people were asked, so their answer is void";
    not_approved(required, because, "the agent may ask again about the tool as it is now")
}

/// What would be done is not what people were asked about.
pub(super) fn altered(required: &Required) -> No {
    let because = "the call is not the one that people were asked about";
    not_approved(required, because, "a yes is good for one exact call; ask about this one")
}

/// An equal call took the yes.
pub(super) fn one_yes(required: &Required) -> No {
    let because = "an equal call was allowed by the same answer, and one yes is for one call";
    not_approved(required, because, "the agent may ask again")
}

/// What waited has had its answer.
pub(super) fn used() -> No {
    Refusal::new(Code::NotApproved, "this call was answered already, and an answer is used once")
        .hint("the agent may ask again")
        .into()
}

/// The agent asks people more than they can read.
pub(super) fn too_many_questions(agent: &str) -> No {
    Refusal::new(Code::NotApproved, format!("agent `{agent}` asks people too much, and is paused"))
        .hint("`agentry approvals` lists what it asked; any answer lets it go on")
        .into()
}

/// It asked people too much, and they have not answered.
pub(super) fn paused(agent: &str) -> No {
    busy(
        &format!("agent `{agent}` asked people too much, and is paused until somebody answers"),
        "`agentry approvals` lists what it asked; any answer lets it go on",
    )
}

fn not_approved(required: &Required, because: impl Into<String>, hint: &str) -> No {
    Refusal::new(Code::NotApproved, because).rule(required.rule.clone()).hint(hint).into()
}

fn asked(required: &Required) -> String {
    match required.quorum {
        1 => required.from.to_string(),
        many => format!("{many} of {}", required.from),
    }
}

/// Where the limit stands that an account ran into. A run's own limit is the tighter of its grant's and the site's.
pub(super) fn budget_of<'a>(policy: &'a Policy, payer: &str, grant: &'a Grant, lack: &Lack) -> &'a Budget {
    let site = &policy.budget;
    match lack.owner {
        Owner::Site => site,
        Owner::Agent => policy.grants.iter().find(|grant| grant.agent == payer).map_or(site, |grant| &grant.budget),
        Owner::Run | Owner::Child => match (site.run.get(lack.what), grant.budget.run.get(lack.what)) {
            (Some(site_limit), limit) if limit.is_none_or(|limit| site_limit < limit) => site,
            _ => &grant.budget,
        },
    }
}

/// A budget does not hold what is needed.
pub(super) fn exhausted(budget: &Budget, lack: &Lack, worst: &Amounts) -> No {
    let Lack { what, left, limit, owner, window, refills_in_s } = *lack;
    let (key, rule) = budget.word(what, window);
    let of = match owner {
        Owner::Site => "the site's budget of",
        Owner::Child => "what was set aside of",
        Owner::Agent | Owner::Run => "the budget of",
    };
    let span = if what.is_level() { "all that it keeps" } else { window.name() };
    let mut because = format!("{of} {} for {span} does not hold the most that this can take", what.name());
    if limit == u64::MAX {
        because = format!("no account can hold so much {}", what.name());
    }
    let mut hint = match &key {
        _ if owner == Owner::Child => String::from("the run above sets more aside"),
        Some(key) => format!("raise `{key}` of the budget in {}", rule.file),
        None => String::from("ask for less"),
    };
    if what.is_level() {
        hint.push_str(", or let it delete what it does not need");
    }
    // What the whole limit does not hold, no wait makes room for.
    if let Some(seconds) = refills_in_s.filter(|_| worst[what] <= limit) {
        hint.push_str(&format!(", or wait: it refills in {}", time::length(seconds)));
    }
    Refusal::new(Code::Exhausted { what, refills_in_s }, because)
        .rule(rule)
        .argument(
            key.unwrap_or(what.name()),
            &what.show(worst[what]),
            format!("up to {} (limit {})", what.show(left), what.show(limit)),
        )
        .hint(hint)
        .into()
}

/// A run wants to set aside more than it has.
pub(super) fn not_so_much(what: Resource, wanted: u64, left: u64) -> No {
    let because = format!("the run itself has less {} than it wants to set aside for a child", what.name());
    Refusal::new(Code::Exhausted { what, refills_in_s: None }, because)
        .argument(what.name(), &what.show(wanted), format!("up to {}", what.show(left)))
        .hint("the agent sets less aside")
        .into()
}
