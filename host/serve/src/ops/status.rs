//! How a host is looked at: what stands in memory at once, and what waits in the store as it was counted a moment ago, so that whoever asks often
//! costs the runs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::call::Wait;
use agentry_runtime::gate::Gate;
use agentry_runtime::gate::counters::{Asked, Counts};
use agentry_runtime::host::services::Services;
use agentry_runtime::run::activity::Live;

use super::ByHost;
use crate::api::LookAtHost;
use crate::error::OpError;
use crate::status::{AgentNow, DiskBehind, HeadsNow, HostStatus, ModelAsked, RunsNow, SinceOpen, WorkersNow};

/// Agents whose runs are listed: enough to see who takes what, few enough for whoever keeps each as a series.
const AGENTS_LISTED_MAX: usize = 50;

impl ByHost for LookAtHost {
    async fn by_host(self, host: &Arc<Services>) -> Result<Box<HostStatus>, OpError> {
        let gate = &host.drivers.gate;
        let live = gate.live();
        let (agents, others) = by_agent(&live);
        let (behind, place) = (gate.journal().behind(), host.heads.as_ref().map(|heads| heads.place()));
        let statements = gate.statements();
        Ok(Box::new(HostStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            at: gate.clock().now(),
            up_ms: host.pulse.up_ms(),
            serves: host.run_queue.is_open() && !host.pulse.is_stopping(),
            stops: host.pulse.is_stopping(),
            beat_ms: host.pulse.since_beat().map(ms),
            locked: gate.kernel(|kernel| kernel.locked().map(|lock| lock.because.clone())),
            runs: runs_now(&live, host.agents.runs_max()),
            agents,
            others,
            waiting: host.census.waiting(gate.journal().store(), gate.clock().now()).await?,
            ordered: host.run_queue.waiting() as u64,
            since_open: since_open(gate.counts()),
            disk: DiskBehind { bytes: behind.bytes as u64, batches: behind.batches as u64 },
            site: statements
                .into_iter()
                .find(|statement| statement.agent.is_none())
                .map(|site| site.lines)
                .unwrap_or_default(),
            clock: gate.clock().reading(),
            heads: place
                .map(|place| HeadsNow { written: place.written.map(|head| head.number), failing: place.failing }),
            workers: host
                .agents
                .workers()
                .await
                .map(|state| WorkersNow { alive: state.alive as u64, lost: state.lost }),
            memory_bytes: resident(),
            alarms: alarms(gate),
        }))
    }
}

/// What somebody has to see to, by a word.
fn alarms(gate: &Gate) -> BTreeMap<String, String> {
    let files = gate.alarms().into_iter().map(|(what, why)| (what.word(), why));
    let store = gate.store_fails().map(|why| ("store", why));
    files.chain(store).map(|(word, why)| (word.to_owned(), why)).collect()
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The word of something that has one in JSON.
fn since_open(counts: Counts) -> SinceOpen {
    let Counts { begun, ended, models } = counts;
    let asked = |Asked { asked, failed }: Asked| ModelAsked { asked, failed };
    SinceOpen {
        begun,
        ended: ended.into_iter().map(|(status, count)| (status.word().to_owned(), count)).collect(),
        models: models.into_iter().map(|(alias, count)| (alias, asked(count))).collect(),
    }
}

fn runs_now(live: &[Live], max: usize) -> RunsNow {
    let mut now = RunsNow { max: max as u64, ..RunsNow::default() };
    for run in live {
        now.memory_bytes = now.memory_bytes.saturating_add(run.memory_bytes);
        match (run.paused, run.waits) {
            (true, _) => now.paused += 1,
            (false, None) => now.computing += 1,
            (false, Some(wait)) => *now.waiting.entry(Wait::word(wait).to_owned()).or_default() += 1,
        }
    }
    now
}

fn by_agent(live: &[Live]) -> (Vec<AgentNow>, u64) {
    let mut agents: BTreeMap<&str, AgentNow> = BTreeMap::new();
    for run in live {
        let now =
            agents.entry(&run.agent).or_insert_with(|| AgentNow { agent: run.agent.clone(), ..AgentNow::default() });
        now.runs += 1;
        now.paused += u64::from(run.paused);
        now.computing += u64::from(!run.paused && run.waits.is_none());
        now.memory_bytes = now.memory_bytes.saturating_add(run.memory_bytes);
    }
    let mut agents: Vec<_> = agents.into_values().collect();
    agents.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.agent.cmp(&b.agent)));
    let others = agents.iter().skip(AGENTS_LISTED_MAX).map(|agent| agent.runs).sum();
    agents.truncate(AGENTS_LISTED_MAX);
    (agents, others)
}

/// Bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use agentry_kernel::call::RunId;

    use agentry_kernel::{Amounts, Millis};

    use super::*;

    #[test]
    fn of_a_crowd_of_agents_those_with_the_most_runs_are_listed_and_the_others_are_counted() {
        let live = |agent: String, run: u64| Live {
            run: RunId(run),
            agent,
            waits: run.is_multiple_of(2).then_some(Wait::Sleep),
            since: Millis(1),
            paused: run.is_multiple_of(5),
            memory_bytes: 10,
            calls: 0,
            refused: 0,
            spent: Amounts::ZERO,
        };
        let mut all: Vec<_> = (0..100).map(|n| live(format!("agent-{n:03}"), n)).collect();
        all.extend((0..10).map(|n| live("busy".to_owned(), n)));
        let (agents, others) = by_agent(&all);
        assert_eq!((agents.len(), agents[0].agent.as_str(), agents[0].runs, others), (50, "busy", 10, 51));
        let now = runs_now(&all, 7);
        assert_eq!((now.all(), now.paused, now.memory_bytes, now.max), (110, 22, 1100, 7));
    }
}
