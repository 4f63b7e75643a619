//! `agentry list`: what is installed, of which version and by whose word. It changes nothing.

use std::process::ExitCode;

use agentry_packages::config::PackagesConfig;
use agentry_packages::keyring::Keyring;
use agentry_packages::lock::{Installed, Lock, Release};
use agentry_packages::party::Voucher;
use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Cell, Table, left};
use crate::screen::{self, BAD, text, units};

/// Lists the agents that are installed, with their versions and who signed them
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry list
  agentry list --json")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    // What it says of indexes is read, so that a mistake is told where a person looks.
    PackagesConfig::load(home.path())?;
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    if args.json {
        let all = lock.agents.iter().map(|(agent, installed)| as_json(agent, installed, &keyring));
        screen::print_json(&all.collect::<Vec<_>>())?;
    } else if lock.agents.is_empty() {
        screen::tell("no packages: `agentry install PUBLISHER:NAME` or `agentry install FILE.wasm` installs one\n");
    } else {
        let mut table =
            Table::new([left("agent"), left("package"), left("signed by").goes(1), left("since (UTC)").goes(2)]);
        for (agent, Installed { now, .. }) in &lock.agents {
            let signed = match &now.vouched {
                _ if is_revoked(now, &keyring) => Cell::of(BAD, "a revoked key"),
                Some(Voucher::Identity(certified)) => Cell::from(text::cut(&certified.by, 96)),
                Some(Voucher::Keys(vouched)) => Cell::from(text::cut(&vouched.holders.name().to_string(), 24)),
                None => Cell::of(BAD, "nobody"),
            };
            let package = text::cut(&format!("{}@{}", now.name, now.version), 48);
            table.row(
                [text::cut(agent, 24).into(), package.into(), signed, units::moment(now.consent.at.0).into()],
                String::new(),
            );
        }
        screen::page(&table.show(screen::fold::columns()))?;
    }
    Ok(Exit::Done.into())
}

/// Whether too few of those who signed it are left.
fn is_revoked(release: &Release, keyring: &Keyring) -> bool {
    release.vouched.as_ref().is_some_and(|vouched| keyring.still_takes(vouched).is_err())
}

fn as_json(agent: &str, installed: &Installed, keyring: &Keyring) -> Value {
    let release = |release: &Release| {
        json!({
            "name": release.name,
            "version": release.version,
            "seq": release.seq,
            "digest": release.digest,
            "key": release.vouched,
            "consent": release.consent,
            "index": release.index,
            "provides": release.provides,
            "requires": release.requires,
            "grant": release.grant.as_ref().map(|grant| grant.file.clone()),
            "revoked": is_revoked(release, keyring),
        })
    };
    let mut told = release(&installed.now);
    told["agent"] = agent.into();
    told["previous"] = installed.previous.iter().map(release).collect();
    told
}
