//! `agentry status`: how the host of this home stands, and what waits for people. It asks the host, or reads what the last one left, and changes
//! nothing.

use std::process::ExitCode;

use agentry_kernel::kernel::BalanceLine;
use agentry_runtime::host::census::{self, Waiting};
use agentry_serve::api::LookAtHost;
use agentry_serve::error::Kind;
use agentry_serve::socket;
use agentry_serve::status::HostStatus;
use anyhow::Result;
use serde_json::json;

use super::budget;
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, BAD, BOLD, DIM, GOOD, HINT, question, styled, text, units};

/// Agents that a screen names.
const AGENTS_SHOWN: usize = 5;

/// Shows how the host stands: runs, queues, budgets, clock, disk
#[derive(clap::Args)]
#[command(after_help = "\
Ends with 0 if a host takes orders, else with 5: no host runs, it stops, or its home is locked.

Examples:
  agentry status
  agentry status --json | jq .host.runs")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A count that is older says so.
const COUNTED_SHOWN_MS: u64 = 500;

/// Asks, and prints.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let host = match socket::ask(home.path(), LookAtHost) {
        Err(error) if error.kind == Kind::NoHost => None,
        asked => Some(asked?),
    };
    let waiting = match &host {
        Some(host) => host.waiting,
        None => left(&home)?,
    };
    if args.json {
        let unready = host.as_deref().map_or(Some("no host runs"), HostStatus::unready);
        screen::print_json(
            &json!({ "ready": unready.is_none(), "unready": unready, "host": host, "waiting": waiting }),
        )?;
    } else {
        screen::page(&page(host.as_deref(), &waiting, &text::line(&home.path().display().to_string())))?;
    }
    let ready = host.is_some_and(|host| host.unready().is_none());
    Ok(if ready { Exit::Done } else { Exit::Unavailable }.into())
}

/// What waits in a home that no host has.
fn left(home: &Home) -> Result<Waiting> {
    let Some(history) = home.history()? else { return Ok(Waiting::default()) };
    Ok(census::count(&**history.store(), units::now())?)
}

/// All of it, for people: what is well in few words, what is not in more.
pub fn page(host: Option<&HostStatus>, waiting: &Waiting, home: &str) -> String {
    let mut page = String::new();
    match host {
        None => {
            page.push_str(&format!("{}  no host runs in {home}\n", styled(BAD, "down")));
            let hint = screen::given::completed("start one: agentry serve, or name another home with --home DIR");
            page.push_str(&format!("{}: {hint}\n", styled(HINT, "hint")));
        }
        Some(host) => page.push_str(&of_host(host)),
    }
    let lines = [
        (waiting.parked, "waits", "out of memory", "run", "agentry ps --status suspended"),
        if host.is_some() {
            (waiting.approvals, "is", "open for policy", "question", "agentry approvals")
        } else {
            // Nobody could take an answer: the call that asked is over, and is made anew.
            (waiting.approvals, "is", question::ASKED_AGAIN, "question", "agentry serve")
        },
        (waiting.questions, "is", "open for agents", "question", "agentry questions"),
        (waiting.causes, "is", "not done yet", "cause", "agentry triggers"),
        (waiting.dead_causes, "waits", "for a person", "cause", "agentry triggers"),
    ];
    let mut counted = false;
    for (count, verb, more, noun, command) in lines.into_iter().filter(|(count, ..)| *count > 0) {
        let verb = match (count, verb) {
            (1, verb) => verb,
            (_, "is") => "are",
            _ => "wait",
        };
        let command = styled(HINT, screen::given::completed(command));
        page.push_str(&format!("  {} {verb} {more}  {command}\n", units::plural(count, noun)));
        counted = true;
    }
    if counted && waiting.counted_ms >= COUNTED_SHOWN_MS {
        let ago = units::duration(waiting.counted_ms);
        page.push_str(&format!("  {}\n", styled(DIM, format_args!("counted {ago} ago"))));
    }
    page
}

fn of_host(host: &HostStatus) -> String {
    let (word, style) = match host.unready() {
        None => ("ready", GOOD),
        Some(_) => ("not ready", BAD),
    };
    let why = host.unready().map(|why| format!(": {why}")).unwrap_or_default();
    let mut page = format!(
        "{}{why}  {}\n",
        styled(style, word),
        styled(
            DIM,
            format_args!(
                "agentry {} · process {} · open for {}",
                text::line(&host.version),
                host.process,
                units::duration(host.up_ms)
            )
        ),
    );
    if let Some(because) = &host.locked {
        let why = if because.is_empty() { "no agent begins anything new" } else { because };
        page.push_str(&format!("  {} {}\n", styled(BAD, "locked:"), text::cut(why, 100)));
    }
    let now = &host.runs;
    let mut runs = vec![format!("{} of {}", units::count(now.all()), units::count(now.max))];
    runs.extend((now.computing > 0).then(|| format!("{} computing", now.computing)));
    runs.extend(now.waiting.iter().map(|(waits, count)| format!("{count} waiting for {}", text::line(waits))));
    runs.extend((now.paused > 0).then(|| format!("{} paused", now.paused)));
    runs.extend((host.ordered > 0).then(|| format!("{} ordered", host.ordered)));
    page.push_str(&format!("  {} {}\n", styled(BOLD, "runs"), runs.join(" · ")));
    let agents = host.agents.iter().take(AGENTS_SHOWN);
    let agents: Vec<_> = agents.map(|agent| format!("{} {}", text::cut(&agent.agent, 24), agent.runs)).collect();
    if !agents.is_empty() {
        page.push_str(&format!("       {}\n", styled(DIM, agents.join(" · "))));
    }
    let ended: Vec<_> = host.since_open.ended.iter().filter(|(_, count)| **count > 0).collect();
    if !ended.is_empty() {
        let ended = ended.iter().map(|(how, count)| format!("{} {}", units::count(**count), text::line(how)));
        page.push_str(&format!("  {} {}\n", styled(BOLD, "ended"), ended.collect::<Vec<_>>().join(" · ")));
    }
    for (model, count) in host.since_open.models.iter().filter(|(_, count)| count.failed > 0) {
        let failed = format!("{} of {} questions to {} went wrong", count.failed, count.asked, text::cut(model, 40));
        page.push_str(&format!("  {} {failed}\n", styled(BAD, "model")));
    }
    host.site.iter().filter(|line| line.limit.is_some()).for_each(|line| page.push_str(&balance(line)));
    let mut machine = Vec::new();
    machine.extend(host.memory_bytes.map(|bytes| format!("{} resident", units::bytes(bytes))));
    machine.push(format!("{} in guests", units::bytes(now.memory_bytes)));
    machine.push(format!("disk behind by {}", units::bytes(host.disk.bytes)));
    machine.extend(
        host.workers.map(|workers| format!("{} ({} lost)", units::plural(workers.alive, "worker"), workers.lost)),
    );
    page.push_str(&format!("  {} {}\n", styled(BOLD, "host"), machine.join(" · ")));
    troubles(host, &mut page);
    page
}

/// What somebody has to see to.
fn troubles(host: &HostStatus, page: &mut String) {
    let mut trouble = |what: &str, why: &str| {
        let why = text::ours(why).replace('\n', "\n    ");
        page.push_str(&format!("  {} {}\n", styled(BAD, what), screen::given::completed(&why)));
    };
    if let Some(ms) = host.clock.ahead_ms() {
        trouble("clock", &format!("the machine's is {} ahead and not believed: agentry clock", units::duration(ms)));
    } else if let Some(ms) = host.clock.behind_ms() {
        trouble("clock", &format!("the machine's is {} behind: agentry clock", units::duration(ms)));
    }
    if let Some(why) = host.heads.as_ref().and_then(|heads| heads.failing.as_ref()) {
        trouble("audit", &format!("heads of the log do not reach the second place: {why}"));
    }
    host.alarms.iter().for_each(|(what, why)| trouble(what, why));
}

fn balance(line: &BalanceLine) -> String {
    let BalanceLine { what, window, limit, spent, reserved, .. } = *line;
    let limit = limit.unwrap_or(0);
    let percent = spent.saturating_add(reserved).saturating_mul(100).checked_div(limit).unwrap_or(100);
    let style = if percent >= 90 { BAD } else { DIM };
    let taken = format!(
        "{} {} of {} {}, {percent} %",
        what.name(),
        budget::show(what, spent.saturating_add(reserved)),
        budget::show(what, limit),
        window.name()
    );
    format!("  {} {}\n", styled(BOLD, "site"), styled(style, taken))
}

#[cfg(test)]
mod tests {
    use agentry_kernel::budget::{Resource, Window};
    use agentry_serve::status::AgentNow;

    use super::*;

    #[test]
    fn what_is_well_takes_few_lines_and_what_is_not_is_named() {
        let plain =
            |host: &HostStatus| anstream::adapter::strip_str(&page(Some(host), &host.waiting, "/home")).to_string();
        let mut host = HostStatus { serves: true, version: "1.0".to_owned(), ..HostStatus::default() };
        assert_eq!(plain(&host).lines().count(), 3, "{}", plain(&host));
        host.locked = Some("it leaks".to_owned());
        host.alarms.insert("agents".to_owned(), "agents.toml cannot be used".to_owned());
        host.agents = vec![AgentNow { agent: "a\u{1b}[2Jb".to_owned(), runs: 3, ..AgentNow::default() }];
        host.waiting.dead_causes = 2;
        let shown = plain(&host);
        for part in [
            "not ready: its home is locked",
            "locked: it leaks",
            "agents agents.toml cannot",
            "a\\u{1b}[2Jb 3",
            "2 causes wait",
        ] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
        let line = |what, window, limit| {
            let (spent, reserved, given, refills_in_s) = (1, 0, 0, None);
            BalanceLine { what, window, limit: Some(limit), spent, reserved, given, refills_in_s }
        };
        host.site = vec![
            line(Resource::Usd, Window::Minute, 5_000_000),
            line(Resource::WallTime, Window::Day, 7_200_000),
            line(Resource::Egress, Window::Day, 1024),
        ];
        let shown = plain(&host);
        for part in ["money $0.000001 of $5.00 this minute, 0 %", "wall time 1 ms of 2 h", " 1 B of 1 KiB today, 0 %"] {
            assert!(shown.contains(part), "{part}:\n{shown}");
        }
        assert!(page(None, &Waiting::default(), "/home").contains("no host runs in /home"));
        let asked = page(None, &Waiting { approvals: 1, ..Waiting::default() }, "/home");
        assert!(asked.contains("1 question is asked again once a host carries on"), "{asked}");
    }
}
