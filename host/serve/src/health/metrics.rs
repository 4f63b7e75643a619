//! A host in numbers, in the text format of Prometheus (version 0.0.4). There are as many series as there are words of ours, models in the registry
//! and agents in the list of [`HostStatus`]: nobody who runs agents can make more.

use std::fmt::Write as _;

use agentry_kernel::budget::Window;
use agentry_kernel::kernel::BalanceLine;

use crate::status::HostStatus;

/// As `content-type` has it.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families of series, each with what it is.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP agentry_{name} {help}\n# TYPE agentry_{name} {kind}\n");
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<_> = labels.iter().map(|(label, of)| format!("{label}=\"{}\"", escaped(of))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "agentry_{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.series(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.series(name, &[], value);
    }
}

/// The value of a label: no name ends it early or begins a line.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// All of them.
pub(super) fn text(status: &HostStatus) -> String {
    let mut text = Text::default();
    text.family("info", "gauge", "The version of the host.");
    text.series("info", &[("version", &status.version)], 1);
    text.gauge("up_seconds", "For how long the host is open.", status.up_ms / 1_000);
    text.gauge("ready", "1 while the host takes orders and can begin them.", u64::from(status.unready().is_none()));
    text.gauge("locked", "1 while the home is locked.", u64::from(status.locked.is_some()));
    if let Some(beat_ms) = status.beat_ms {
        text.gauge("beat_age_milliseconds", "How long ago the loop that begins runs turned.", beat_ms);
    }
    runs(&mut text, status);
    waiting(&mut text, status);
    text.gauge("disk_behind_bytes", "What the journal holds that the store does not have yet.", status.disk.bytes);
    text.gauge("disk_behind_batches", "Batches that the store has not answered.", status.disk.batches);
    site(&mut text, &status.site);
    let (ahead, behind) = (status.clock.ahead_ms(), status.clock.behind_ms());
    text.gauge("clock_alarm", "1 while the machine's clock is not believed.", u64::from(ahead.or(behind).is_some()));
    text.gauge("clock_ahead_milliseconds", "How far the machine's clock leapt ahead.", ahead.unwrap_or(0));
    text.gauge("clock_behind_milliseconds", "How far the machine's clock is behind.", behind.unwrap_or(0));
    if let Some(heads) = &status.heads {
        let failing = u64::from(heads.failing.is_some());
        text.gauge("audit_heads_failing", "1 while heads of the log cannot be written to the second place.", failing);
        text.gauge("audit_heads_segment", "The last segment whose head stands there.", heads.written.unwrap_or(0));
    }
    if let Some(workers) = status.workers {
        text.gauge("workers", "Processes that execute agents.", workers.alive);
        text.counter("workers_lost_total", "How often a run lost its worker.", workers.lost);
    }
    if let Some(bytes) = status.memory_bytes {
        text.gauge("resident_memory_bytes", "Bytes of the process that are in memory.", bytes);
    }
    text.family(
        "unusable",
        "gauge",
        "1 for what cannot be used as it stands: a file of an admin, or the store while it cannot be written.",
    );
    for what in ["policy", "tools", "config", "agents", "store"] {
        text.series("unusable", &[("what", what)], u64::from(status.alarms.contains_key(what)));
    }
    text.0
}

fn runs(text: &mut Text, status: &HostStatus) {
    text.family("runs", "gauge", "Runs in memory, by what they do.");
    text.series("runs", &[("state", "computing")], status.runs.computing);
    text.series("runs", &[("state", "paused")], status.runs.paused);
    for (waits, count) in &status.runs.waiting {
        text.series("runs", &[("state", &format!("waits_for_{}", waits.replace('-', "_")))], *count);
    }
    text.gauge("runs_max", "Runs that can be in memory at once.", status.runs.max);
    text.gauge("guest_memory_bytes", "Bytes of the memories of all guests.", status.runs.memory_bytes);
    text.family("runs_of_agent", "gauge", "Runs in memory of those agents that have the most.");
    for agent in &status.agents {
        text.series("runs_of_agent", &[("agent", &agent.agent)], agent.runs);
    }
    text.gauge("runs_of_other_agents", "Runs in memory of all others.", status.others);
    text.counter(
        "runs_begun_total",
        "Runs that began or went on again since the host opened.",
        status.since_open.begun,
    );
    text.family("runs_ended_total", "counter", "Runs that ended or were refused since the host opened, by how.");
    for (how, count) in &status.since_open.ended {
        text.series("runs_ended_total", &[("status", how)], *count);
    }
    text.family("model_calls_total", "counter", "Questions to models since the host opened.");
    for (model, count) in &status.since_open.models {
        text.series("model_calls_total", &[("model", model)], count.asked);
    }
    text.family("model_failures_total", "counter", "Of these, those that went wrong.");
    for (model, count) in &status.since_open.models {
        text.series("model_failures_total", &[("model", model)], count.failed);
    }
}

fn waiting(text: &mut Text, status: &HostStatus) {
    let waiting = &status.waiting;
    text.gauge("runs_ordered", "Runs that were ordered and whose turn to begin has not come.", status.ordered);
    text.gauge("runs_parked", "Runs that left memory while they wait.", waiting.parked);
    text.gauge("approvals_open", "Questions of policy that wait for a person.", waiting.approvals);
    text.gauge("questions_open", "Questions of agents that wait for a person.", waiting.questions);
    text.gauge("causes_waiting", "What triggers noticed and whose run has not ended.", waiting.causes);
    text.gauge("causes_dead", "Of these, those that wait for a person.", waiting.dead_causes);
}

fn site(text: &mut Text, lines: &[BalanceLine]) {
    type Amount = fn(&BalanceLine) -> Option<u64>;
    let families: [(&str, &str, Amount); 3] = [
        ("site_budget_limit", "What the site may take, in the unit of what it is.", |line| line.limit),
        ("site_budget_spent", "What of it is gone.", |line| Some(line.spent)),
        ("site_budget_reserved", "What of it is held for calls in flight.", |line| Some(line.reserved)),
    ];
    for (name, help, amount) in families {
        text.family(name, "gauge", help);
        for line in lines {
            let Some(amount) = amount(line) else { continue };
            let what = serde_json::to_value(line.what).ok();
            let what = what.as_ref().and_then(|what| what.as_str()).unwrap_or_default();
            text.series(name, &[("what", what), ("window", window(line))], amount);
        }
    }
}

fn window(line: &BalanceLine) -> &'static str {
    match line.window {
        _ if line.what.is_level() => "always",
        Window::Run => "run",
        Window::Minute => "minute",
        Window::Day => "day",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::AgentNow;

    #[test]
    fn no_name_ends_a_label_early_or_makes_a_series_of_its_own() {
        let agent = "a\"} 1\nagentry_ready 0\\\u{1b}".to_owned();
        let agents = vec![AgentNow { agent, runs: 3, ..AgentNow::default() }];
        let text = text(&HostStatus { agents, ..HostStatus::default() });
        assert!(text.contains("agentry_runs_of_agent{agent=\"a\\\"} 1\\nagentry_ready 0\\\\\u{fffd}\"} 3\n"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("agentry_ready ")).count(), 1);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(series.starts_with("agentry_") && value.parse::<u64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn every_series_belongs_to_a_family_that_says_what_it_is() {
        let text = text(&HostStatus::default());
        let families: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            assert!(families.contains(&name), "{line}");
        }
        let mut once = families.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), families.len(), "a family stands there twice");
    }
}
