//! Calls on which policies could differ where a rule or a ceiling of the site changed: those that its agents are granted near it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::call::Call;
use crate::inquiry::candidates::{Calls, Candidates};
use crate::policy::{Act, SiteRule, Target};
use crate::rights::HttpRight;
use crate::within;

/// Calls of an agent that a rule of the site is about.
pub(super) fn about<'a>(candidates: Candidates<'a>, rule: &'a SiteRule, agent: &'a str) -> Calls<'a> {
    let rights = candidates.new.grant(agent).map(|grant| &grant.rights);
    let web = rights.map_or(&[][..], |rights| &rights.http).iter().flat_map(move |right| candidates.of_http(right));
    match &rule.target {
        Target::Tool(pattern) => candidates.tools(agent, pattern),
        Target::Effect(_) => {
            let tools = rights.map_or(&[][..], |rights| &rights.tools).iter();
            Box::new(tools.flat_map(move |right| candidates.tools(agent, &right.tool)).chain(web))
        }
        Target::Model(pattern) => Box::new(candidates.models(agent, pattern).into_iter()),
        Target::Memory { namespace, .. } => {
            let pattern = if namespace.is_empty() { "**".to_string() } else { format!("{namespace}/**") };
            Box::new(candidates.memory(&pattern, &Act::ALL).into_iter())
        }
        Target::Files { root, at, .. } => Box::new(candidates.files(root, at, &Act::ALL).into_iter()),
        Target::Http { .. } => Box::new(web),
    }
}

/// Models on both sides of each ceiling.
pub(super) fn bounds_of_models(candidates: Candidates<'_>) -> impl Iterator<Item = &String> {
    let ceilings = [candidates.old, candidates.new].into_iter().flat_map(|scenario| &scenario.policy.ceilings);
    ceilings.flat_map(|ceiling| ceiling.models.iter().flatten())
}

/// Requests that a rule gives, and those of them on both sides of each ceiling.
pub(super) fn within_bounds(candidates: Candidates<'_>, right: &HttpRight) -> Vec<Call> {
    let ceilings = [candidates.old, candidates.new].into_iter().flat_map(|scenario| &scenario.policy.ceilings);
    let bounds = ceilings.flat_map(|ceiling| ceiling.egress.iter().flatten());
    let cut = bounds.filter(|bound| within::origin(bound, &right.to));
    let cut = cut.flat_map(|bound| candidates.http(bound, &right.methods, &right.paths, None));
    candidates.of_http(right).into_iter().chain(cut).collect()
}
