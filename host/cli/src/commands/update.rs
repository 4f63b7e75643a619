//! `agentry update`: newer versions of what is installed. One that may do no more goes by itself once it has cooled off; one that asks
//! for more, is signed otherwise or would behave otherwise waits for a person. Runs that go on, go on with what they began with.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_packages::config::PackagesConfig;
use agentry_packages::index::client::Index;
use agentry_packages::lock::{Installed, Lock};
use agentry_packages::set::{Set, not_installed};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::hosting::root;
use super::packages::{
    Beside, Candidate, Change, ConsentArgs, Effects, Indexes, Outcome, Standing, Team, allowed, as_json, carry_out,
    given_roots, given_secrets, page, why,
};
use crate::exit::{self, Exit};
use crate::home::{Home, HomeArgs};
use crate::screen::{self, given, text};

/// Brings installed agents to their newest versions, as far as these may do no more
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry update --dry-run                # what there is, what is other in it, and what would wait
  agentry update bookkeeper               # asks
  agentry update bookkeeper --root documents=./papers
  agentry update --yes                    # from cron: what may do no more, after its cool-off; the rest waits

Recorded runs are executed again with the new version, without any effect, and the calls that it would make are compared. Exit code 3 if one \
waits for a person. `agentry rollback NAME` takes the version before.")]
pub struct Args {
    /// Which agents; all that came from an index if none is named
    #[arg(value_name = "AGENT")]
    agents: Vec<String>,
    /// Show what there is, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// What a folder that it asks for anew is to be; as often as there are folders
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = root, requires = "agents", conflicts_with = "dry_run")]
    roots: Vec<(String, PathBuf)>,
    /// Yes to a secret of this home that it asks for anew, by its name; as often as there are secrets
    #[arg(long = "secret", value_name = "HANDLE", requires = "agents", conflicts_with = "dry_run")]
    secrets: Vec<String>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Looks for them, one after the other.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let cool_off_ms = PackagesConfig::load(home.path())?.cool_off_ms;
    let lock = Set::open(home.path())?.lock().clone();
    let named =
        |agent: &String| lock.agents.get(agent).map(|_| agent.clone()).ok_or_else(|| not_installed(agent, &lock));
    let agents: Vec<String> = match args.agents.as_slice() {
        [] => lock.agents.iter().filter(|(_, one)| one.now.index.is_some()).map(|(agent, _)| agent.clone()).collect(),
        agents => agents.iter().map(named).collect::<Result<_, _>>()?,
    };
    // Whoever requires others goes before them, and takes those along that it requires in newer versions.
    let agents = lock.team().from_the_top(agents);
    let (mut told, mut waits) = (Vec::new(), None);
    let (threads, indexes) = (Runtime::new().context("cannot start")?, Indexes::of(&home, None)?);
    // Read once, whatever there is to update.
    let read = match agents.is_empty() {
        true => Ok(Vec::new()),
        false => threads.block_on(indexes.read(&home)),
    };
    for agent in &agents {
        let updated = match &read {
            Ok(read) => update(args, (&home, read.as_slice(), &indexes.config), agent, cool_off_ms, &threads),
            Err(fault) => Err(fault.clone().into()),
        };
        match updated {
            Ok(one) => told.push(one),
            // One that waits keeps no other from going.
            Err(error) if agents.len() > 1 || args.json => {
                let outcome = if exit::of(&error) == Exit::Denied { "waits" } else { "failed" };
                told.push(json!({"agent": agent, "outcome": outcome, "because": text::explain(&error).0}));
                if !args.json {
                    screen::complain(&error);
                }
                waits = waits.or(Some(exit::of(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    if args.json {
        screen::print_json(&told)?;
    } else if agents.is_empty() {
        screen::tell("nothing that is installed came from an index\n");
    }
    Ok(waits.unwrap_or(Exit::Done).into())
}

/// One agent, to its newest version.
fn update(
    args: &Args,
    (home, read, config): (&Home, &[Index<'_>], &PackagesConfig),
    agent: &str,
    cool_off_ms: u64,
    threads: &Runtime,
) -> Result<Value> {
    let (lock, keyring) = {
        let set = Set::open(home.path())?;
        (set.lock().clone(), set.keyring().clone())
    };
    let installed = lock.agents.get(agent).ok_or_else(|| not_installed(agent, &lock))?;
    let now = &installed.now;
    let highest = lock.highest.get(&now.name).copied().unwrap_or(now.seq);
    // Whoever names the agent after a rollback goes forward; by itself, what a rollback left does not come back.
    let behind = if args.agents.is_empty() || now.seq == highest { highest } else { highest.saturating_sub(1) };
    let candidate = match threads.block_on(Candidate::newer(read, (now, behind), config, (&lock, &keyring)))? {
        Ok(candidate) => candidate,
        Err(standing) => return stays(args, agent, installed, (highest, standing)),
    };
    let beside = Beside::Updated { cool_off_ms, dry_run: args.dry_run };
    let team = threads.block_on(Team::of(home, candidate, &[], (&lock, &keyring), beside))?;
    if args.dry_run {
        return shown(args, home, &team, &lock);
    }
    let command = format!("agentry update {agent}{}{}", given_roots(&args.roots), given_secrets(&args.secrets));
    let (consent, roots, secrets) = (&args.consent, args.roots.as_slice(), args.secrets.as_slice());
    let change = Change { home, team: &team, consent, roots, secrets, command: &command, json: args.json };
    outcome(agent, team.first(), carry_out(&change, &lock)?)
}

/// What is said of an agent of which nothing newer is listed than what is here, or than what was: that had the number `highest`.
fn stays(args: &Args, agent: &str, installed: &Installed, (highest, standing): (u64, Standing)) -> Result<Value> {
    let Installed { now, previous } = installed;
    let version = text::line(&now.version);
    let newer = previous.iter().find(|release| release.seq == highest).map(|release| text::line(&release.version));
    let newer = newer.unwrap_or_else(|| "what was here".to_owned());
    let (outcome, told) = match &standing {
        Standing::TakenBack(because) => {
            let older = previous.iter().any(|release| release.seq < now.seq);
            let verb = if older { "rollback" } else { "uninstall" };
            let way = given::completed(&format!("agentry {verb} {agent}"));
            let why = why(because);
            (
                "taken-back",
                format!("was taken back by its publisher{why}; nothing newer is listed, to be rid of it: {way}"),
            )
        }
        _ if now.seq < highest && args.agents.is_empty() => {
            let way = given::completed(&format!("agentry update {agent}"));
            (
                "rolled-back",
                format!("is older than {newer}; nothing newer than that is listed, to go forward to it: {way}"),
            )
        }
        _ if now.seq < highest => {
            ("rolled-back", format!("is older than {newer}; neither that nor anything newer is listed"))
        }
        Standing::Unlisted => ("unlisted", "is listed by no index here, nor is anything newer".to_owned()),
        Standing::Listed => ("newest", "is the newest".to_owned()),
    };
    if !args.json {
        screen::tell(&format!("{agent} {version} {told}\n"));
    }
    let mut told = json!({"agent": agent, "outcome": outcome, "version": now.version});
    if let Standing::TakenBack(because) = standing {
        told["because"] = because.into();
    }
    Ok(told)
}

fn outcome(agent: &str, candidate: &Candidate, came: Outcome) -> Result<Value> {
    let outcome = match came {
        Outcome::Installed(_) => "updated",
        Outcome::Same(_) => "newest",
    };
    Ok(json!({"agent": agent, "outcome": outcome, "version": candidate.package.manifest.version}))
}

/// What there is, for whoever only looks.
fn shown(args: &Args, home: &Home, team: &Team, lock: &Lock) -> Result<Value> {
    let effects = Effects::of(home, team, lock)?;
    if !args.json {
        screen::page(&page(team, &effects))?;
        // One of them that waits keeps all.
        let waits = team.members.iter().zip(&effects.each).find_map(|(member, effect)| {
            Some(format!("{}: {}", member.candidate.story(), allowed(member, effect).err()?))
        });
        let told = match waits {
            Some(why) => format!("it waits for a person: {why}\n"),
            None => format!("it may go by itself: {}\n", given::completed("agentry update --yes")),
        };
        screen::tell(&told);
    }
    let mut told = as_json(team, &effects);
    told["agent"] = team.first().agent().into();
    told["outcome"] = "found".into();
    Ok(told)
}
