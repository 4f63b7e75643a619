//! `agentry policy can`: all that an agent could possibly do, and ways on which words could leave. It changes nothing.

use std::process::ExitCode;

use agentry_kernel::inquiry::{Capability, Location, Route, capabilities, routes, show_call};
use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};

use super::scenario::{ScenarioArgs, call_as_json, place, rule_as_json};
use crate::exit::Exit;
use crate::screen::{self, BAD, BOLD, DIM, GOOD, styled, text, units};

/// Lists all that an agent could do, or the ways from one place to another
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy can clerk
  agentry policy can --from memory:team/** --to egress:*
  agentry policy can --from tool:crm.read --to memory:public/** --json

A place is memory:PATTERN, files:ROOT/PATH, tool:PATTERN or egress:HOST. What two agents may both reach is a way from \
one to the other; a root of one name is taken for one directory. Exit code 1 if a way is open.")]
pub struct Can {
    /// The agent
    #[arg(value_name = "AGENT", required_unless_present = "from", conflicts_with_all = ["from", "to"])]
    agent: Option<String>,
    /// Where words lie
    #[arg(long, value_name = "PLACE", requires = "to")]
    from: Option<String>,
    /// Where they must not come
    #[arg(long, value_name = "PLACE", requires = "from")]
    to: Option<String>,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Lists them.
pub fn run(args: &Can) -> Result<ExitCode> {
    let scenario = args.scenario.scenario()?;
    args.scenario.tell_lock()?;
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        let (from, to) = (parsed(from)?, parsed(to)?);
        let found = routes(&scenario, &from, &to);
        let open = found.iter().filter(|route| route.cut.is_none()).count();
        if args.scenario.json {
            let ways: Vec<Value> = found.iter().map(route_as_json).collect();
            let locked = args.scenario.lock_as_json()?;
            screen::print_json(
                &json!({"from": from.to_string(), "to": to.to_string(), "open": open, "ways": ways, "locked": locked}),
            )?;
        } else {
            screen::page(&ways(&found, open))?;
        }
        return Ok(if open > 0 { Exit::Failed } else { Exit::Done }.into());
    }
    let agent = args.agent.as_deref().unwrap_or_default();
    let Some(capabilities) = capabilities(&scenario, agent) else {
        let known = || scenario.policy.grants.iter().map(|grant| &*grant.agent);
        let list = match known().next() {
            Some(_) => "`agentry policy check` lists the grants",
            None => "there are no grants yet: `agentry inspect FILE --grant` drafts one",
        };
        let hint = text::meant(agent, known(), list);
        bail!("no policy file grants anything to agent `{}`\nhint: {hint}", text::line(agent));
    };
    let grant = scenario.policy.grants.iter().find(|grant| grant.agent == agent);
    if grant.is_some_and(|grant| grant.expires.is_some_and(|end| end <= scenario.at)) {
        bail!(
            "the grant of `{}` is over: it grants nothing any more\nhint: write a later `expires` into it, and ask again",
            text::line(agent)
        );
    }
    if args.scenario.json {
        let list = capabilities
            .iter()
            .map(|capability| json!({"what": capability.what, "with": capability.with, "rule": rule_as_json(Some(&capability.rule))}));
        let can = list.collect::<Vec<_>>();
        screen::print_json(&json!({"agent": agent, "can": can, "locked": args.scenario.lock_as_json()?}))?;
    } else {
        screen::page(&page(agent, &capabilities))?;
    }
    Ok(Exit::Done.into())
}

fn parsed(place: &str) -> Result<Location> {
    let hint = "for example memory:team/**, files:reports/out, tool:crm.* or egress:*";
    place.parse().map_err(|flaw| anyhow!("`{}` is no place: it {flaw}\nhint: {hint}", text::line(place)))
}

fn page(agent: &str, capabilities: &[Capability]) -> String {
    let mut page = format!("{}\n", styled(BOLD, format_args!("{} can", text::line(agent))));
    if capabilities.is_empty() {
        page.push_str("  nothing but what every agent can: log, sleep, ask for the time and its budget\n");
    }
    for capability in capabilities {
        page.push_str(&format!(
            "  {}   {}\n",
            text::line(&capability.what),
            styled(DIM, text::line(&place(&capability.rule)))
        ));
        for with in &capability.with {
            page.push_str(&format!("    {}\n", text::line(with)));
        }
    }
    page
}

fn ways(found: &[Route], open: usize) -> String {
    let mut page = String::new();
    let mut told: Vec<Vec<String>> = Vec::new();
    for route in found {
        let way = alike(route);
        if told.contains(&way) {
            continue;
        }
        let more = found.iter().filter(|other| alike(other) == way).count() - 1;
        told.push(way);
        for stop in &route.stops {
            let asks = if stop.asks { ", once people said yes" } else { "" };
            let (reads, writes) = (show_call(&stop.reads).to_string(), show_call(&stop.writes).to_string());
            let line = format!("{}  {}  →  {}{asks}", stop.agent, text::cut(&reads, 120), text::cut(&writes, 120));
            page.push_str(&format!("  {}\n", text::line(&line)));
        }
        let labels = if route.labels.is_empty() { String::new() } else { format!(", having read {}", route.labels) };
        if more > 0 {
            page.push_str(&format!(
                "  {}\n",
                styled(DIM, format_args!("and {} like it", units::plural(more as u64, "way")))
            ));
        }
        page.push_str(&match route.cut.as_ref().map(|refusal| (refusal, refusal.rule.as_ref())) {
            None => format!("  {}{labels}\n\n", styled(BAD, "open")),
            Some((refusal, rule)) => {
                let rule = rule.map_or_else(|| refusal.because.clone(), place);
                format!("  {}{labels}: {}\n\n", styled(GOOD, "cut"), text::line(&rule))
            }
        });
    }
    let verdict = match (open, found.len()) {
        (0, 0) => styled(GOOD, "no way"),
        (0, _) => styled(GOOD, "no open way"),
        (open, _) => styled(BAD, units::plural(open as u64, "open way")),
    };
    page.push_str(&format!("{verdict}\n"));
    page
}

/// What ways have in common that differ in nothing but names and values: the same agents do the same kind of thing, and the same rule
/// cuts them.
fn alike(route: &Route) -> Vec<String> {
    let stops = route
        .stops
        .iter()
        .map(|stop| format!("{} {} {} {}", stop.agent, stop.reads.name(), stop.writes.name(), stop.asks));
    let cut = route.cut.as_ref().map(|refusal| refusal.rule.as_ref().map_or_else(|| refusal.because.clone(), place));
    stops.chain([route.labels.to_string()]).chain(cut).collect()
}

fn route_as_json(route: &Route) -> Value {
    let stops = route.stops.iter().map(|stop| {
        json!({"agent": stop.agent, "reads": call_as_json(&stop.reads), "writes": call_as_json(&stop.writes), "asks": stop.asks})
    });
    let cut = route.cut.as_ref().map(|refusal| {
        json!({"code": refusal.code.word(), "because": refusal.because, "rule": rule_as_json(refusal.rule.as_ref())})
    });
    json!({"stops": stops.collect::<Vec<_>>(), "labels": route.labels.iter().collect::<Vec<_>>(), "cut": cut})
}
