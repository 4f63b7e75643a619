//! Whether one rule of the site does all that another does, by their shape. Yes is a proof, no may be doubt.

use alloc::string::String;

use crate::constraint::Constraint;
use crate::policy::{Act, Duty, SiteRule, Target, When};
use crate::within;

/// Whether a rule of the site does at least what another does, wherever that one does it.
pub(super) fn at_least(new: &SiteRule, old: &SiteRule) -> bool {
    let duty = match (&new.duty, &old.duty) {
        (Duty::Forbid, Duty::Forbid | Duty::Require(_)) => true,
        (Duty::Require(new), Duty::Require(old)) => within::approval(Some(new), Some(old)),
        (Duty::Mark { adds, .. }, Duty::Mark { adds: added, .. }) => adds.has_all(added),
        (_, Duty::Mark { adds, .. }) => adds.is_empty(),
        _ => false,
    };
    duty && reaches(new, old)
}

/// Whether a rule of the site applies wherever another does.
pub(super) fn reaches(new: &SiteRule, old: &SiteRule) -> bool {
    !new.observed
        && (new.agent.is_none() || new.agent == old.agent)
        && covers(&new.target, &old.target)
        && holds_wherever(&new.when, &old.when)
        && lifted_only_where(&new.unless, &old.unless)
}

fn covers(new: &Target, old: &Target) -> bool {
    let lists = |new: &[String], old: &[String], within: fn(&str, &str) -> bool| {
        new.is_empty() || (!old.is_empty() && within::each(old, new, |old, new| within(old, new)))
    };
    let acts =
        |new: &[Act], old: &[Act]| new.is_empty() || (!old.is_empty() && old.iter().all(|act| new.contains(act)));
    match (new, old) {
        (Target::Tool(new), Target::Tool(old)) | (Target::Model(new), Target::Model(old)) => within::name(old, new),
        (Target::Effect(new), Target::Effect(old)) => new == old,
        (Target::Memory { namespace: new, acts: now }, Target::Memory { namespace: old, acts: were }) => {
            within::subtree(old, new) && acts(now, were)
        }
        (
            Target::Files { root: new_root, at: new, acts: now },
            Target::Files { root: old_root, at: old, acts: were },
        ) => new_root == old_root && within::subtree(old, new) && acts(now, were),
        (
            Target::Http { host: new, methods: now, paths: new_paths },
            Target::Http { host: old, methods: were, paths: old_paths },
        ) => {
            (new == old || new == "*")
                && lists(now, were, |old, new| old == new)
                && lists(new_paths, old_paths, within::subtree)
        }
        _ => false,
    }
}

/// Whether the new condition holds wherever the old one does.
fn holds_wherever(new: &When, old: &When) -> bool {
    let any = new.labels_any.is_empty()
        || (!old.labels_any.is_empty() && new.labels_any.has_all(&old.labels_any))
        || old.labels_all.has_any(&new.labels_any);
    // What could be taken for what a rule names is no matter of shape, so only the same tests are taken for the same.
    any && old.labels_all.has_all(&new.labels_all) && new.args.iter().all(|test| old.args.contains(test))
}

/// Whether the new rule is lifted only where the old one is.
fn lifted_only_where(new: &[(String, Constraint)], old: &[(String, Constraint)]) -> bool {
    let fits = |(name, wide): &(String, Constraint)| {
        new.iter().any(|(argument, narrow)| argument == name && within::constraint(narrow, wide))
    };
    new.is_empty() || (!old.is_empty() && old.iter().all(fits))
}
