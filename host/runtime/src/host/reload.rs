//! Files of an admin that are read anew while a host goes on: `agents.toml` when it changes, and all of them when a person says so. What cannot be used
//! changes nothing and is told; what a host keeps until its end is told as well.

use std::sync::Arc;

use agentry_drivers::files::NoRoot;
use serde::{Deserialize, Serialize};

use super::services::Services;
use crate::config::{AgentsConfig, Config};
use crate::gate::Reloadable;
use crate::triggers::Tended;

/// What came of reading everything anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is read anew within a moment, by its word; what differs is told as it is taken.
    pub looked_at: Vec<String>,
    /// Tables of `agentry.toml` that are in force as they stand there now.
    pub taken: Vec<String>,
    /// Tables of it that differ from what is in force, and are taken by the next host.
    pub kept: Vec<String>,
    /// Why `agentry.toml` cannot be used, if it cannot.
    pub refused: Option<String>,
}

/// The agents of a home are others: whoever serves tends their triggers from now on, or says why not.
pub(super) async fn take_agents(services: &Services, triggers: &mut Tended, known: Arc<AgentsConfig>) {
    match triggers.take(&known).await {
        Ok(()) => put_agents(services, known),
        Err(error) => services.drivers.gate.keep(Reloadable::Agents, &error.to_string()),
    }
}

fn put_agents(services: &Services, known: Arc<AgentsConfig>) {
    let before = services.agents.known();
    let changed = *before != *known;
    services.agents.put(Arc::clone(&known));
    tell_of_roots(services, &services.drivers.files.take_installed(&known.roots));
    if changed {
        services.parking.try_again();
    }
    let count = known.agents.len();
    services
        .drivers
        .gate
        .mended(Reloadable::Agents, changed.then(|| format!("agents.toml is read anew: {count} agents")));
}

/// Roots of installed agents that are not to be had: their agents lack them, and no others do.
pub(super) fn tell_of_roots(services: &Services, faults: &[NoRoot]) {
    if !faults.is_empty() {
        let told: Vec<_> = faults.iter().map(NoRoot::to_string).collect();
        services.policy_watch.alarm(told.join("\n"));
    }
}

/// `agents.toml` has changed, or is to be read again.
pub(super) fn look_at_agents(services: &Services, home: &std::path::Path) {
    match AgentsConfig::load(home) {
        Err(error) => services.drivers.gate.keep(Reloadable::Agents, &error.to_string()),
        Ok(known) if services.run_queue.is_open() => services.agents.offer(known),
        // Nobody tends triggers here.
        Ok(known) => put_agents(services, Arc::new(known)),
    }
}

/// Reads everything anew, now, because a person says so.
pub fn all(services: &Services) -> Reloaded {
    let gate = &services.drivers.gate;
    services.policy_watch.forget();
    let mut reloaded = Reloaded {
        looked_at: [Reloadable::Policy, Reloadable::Tools, Reloadable::Agents]
            .map(|what| what.word().to_owned())
            .into(),
        ..Reloaded::default()
    };
    let Some(in_force) = services.policy_watch.config() else { return reloaded };
    match Config::load(services.policy_watch.home()) {
        Err(error) => {
            gate.keep(Reloadable::Config, &error.to_string());
            reloaded.refused = Some(error.to_string());
        }
        Ok(config) => {
            if config.idle != in_force.idle {
                services.parking.set_idle(config.idle);
                reloaded.taken.push("idle".to_owned());
            }
            if config.hosts != in_force.hosts {
                services.names.set(config.hosts.clone());
                reloaded.taken.push("hosts".to_owned());
            }
            reloaded.kept = in_force.until_the_end(&config).into_iter().map(str::to_owned).collect();
            let told = (!reloaded.taken.is_empty() || !reloaded.kept.is_empty()).then(|| story(&reloaded));
            services.policy_watch.set_config(Config { idle: config.idle, hosts: config.hosts, ..in_force });
            gate.mended(Reloadable::Config, told);
        }
    }
    reloaded
}

/// What came of it, in a line.
fn story(reloaded: &Reloaded) -> String {
    let named = |tables: &[String]| tables.iter().map(|table| format!("[{table}]")).collect::<Vec<_>>().join(", ");
    let mut story = "agentry.toml is read anew".to_owned();
    if !reloaded.taken.is_empty() {
        story.push_str(&format!("; taken: {}", named(&reloaded.taken)));
    }
    if !reloaded.kept.is_empty() {
        story.push_str(&format!("; {} as before until the host is started anew", named(&reloaded.kept)));
    }
    story
}
