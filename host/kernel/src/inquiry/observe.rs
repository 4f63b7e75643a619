//! Grants that only observe and could never have anything to tell, because they deny nothing that is allowed. It changes nothing.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Scenario, diff};
use crate::policy::Grant;

/// Those of a policy that deny nothing which the grant in force allows, and so tell nothing.
pub fn telling_nothing(scenario: &Scenario) -> Vec<&Grant> {
    let observed = &scenario.policy.observed;
    let tried = |agent: &str| observed.iter().any(|grant| grant.agent == agent);
    let in_force: Vec<Grant> = scenario.policy.grants.iter().filter(|grant| tried(&grant.agent)).cloned().collect();
    if in_force.is_empty() {
        return Vec::new();
    }
    let has = |agent: &str| in_force.iter().any(|grant| grant.agent == agent);
    let only =
        |grants: &[Grant]| scenario.under(Arc::new(scenario.policy.revised(|policy| policy.grants = grants.to_vec())));
    let denied = diff(&only(&in_force), &only(observed)).closed;
    let denies = |agent: &str| denied.iter().any(|change| change.agent.as_deref() == Some(agent));
    observed.iter().filter(|grant| has(&grant.agent) && !denies(&grant.agent)).collect()
}
