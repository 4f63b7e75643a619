//! `agentry key`: keys that sign packages and indexes, and the publishers that this home trusts. A secret half never leaves its file.

use std::process::ExitCode;

use agentry_kernel::labels;
use agentry_packages::Fault;
use agentry_packages::key::{self, PublicKey};
use agentry_packages::keyring::{How, Keyring, Known, Revoked};
use agentry_packages::set::Set;
use anyhow::Result;
use serde_json::json;

use super::index::Keys;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Table, left};
use crate::screen::{self, BAD, GOOD, given, styled, text, units};

/// The longest reason for a revocation.
const BECAUSE_MAX_BYTES: usize = 1_024;

/// Makes keys, and says whose are trusted
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    New(New),
    #[command(alias = "ls")]
    List(List),
    Trust(Trust),
    Revoke(Revoke),
}

/// Makes a key of this name and prints its public half
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry key new acme        # for the packages of publisher acme

The secret half is keys/NAME.key of the home: whoever has it signs in your name. Keep a copy where nobody else comes.")]
struct New {
    /// As the publisher is called
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Lists the keys of this home, the publishers that it trusts, and what is revoked
#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Trusts a publisher by this key, or by so many of these keys, from now on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry key trust acme ed25519:5f0c…
  agentry key trust acme ed25519:5f0c… ed25519:91ab… ed25519:c04e… --threshold 2

Compare each key with what the publisher says on another way than the one on which it came to you.")]
struct Trust {
    /// The publisher
    #[arg(value_name = "PUBLISHER")]
    publisher: String,
    #[command(flatten)]
    keys: Keys,
    /// In the place of the one, or of those, that it had
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    home: HomeArgs,
}

/// Never takes a key again; agents that it signed are granted nothing from the next call on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry key revoke acme --because \"their build machine was broken into\"

Grants of agents that it signed leave the policy directory for withdrawn/ of the home, and a host that serves stops them at their next call.")]
struct Revoke {
    /// The publisher whose key it is, or the key
    #[arg(value_name = "PUBLISHER|ed25519:HEX")]
    key: String,
    /// Why: whoever meets it is told
    #[arg(long, value_name = "TEXT", default_value = "")]
    because: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::New(args) => new(args),
        Verb::List(args) => list(args),
        Verb::Trust(args) => trust(args),
        Verb::Revoke(args) => revoke(args),
    }?;
    Ok(Exit::Done.into())
}

fn new(args: &New) -> Result<()> {
    let key = key::create(args.home.resolve()?.path(), &args.name)?;
    screen::print(&format!("{}\n", PublicKey::of(&key)))
}

fn list(args: &List) -> Result<()> {
    let home = args.home.existing()?;
    let keyring = Keyring::load(home.path())?;
    let (mut own, mut is_whole) = (Vec::new(), true);
    for name in key::names(home.path()) {
        match key::open(home.path(), &name) {
            Ok(key) => own.push((name, PublicKey::of(&key))),
            Err(why) => {
                is_whole = false;
                screen::warn(&text::ours(&format!("{} is left out: {why}", text::line(&name))));
            }
        }
    }
    if args.json {
        return screen::print_json(&json!({
            "own": own.iter().map(|(name, key)| json!({"name": name, "key": key})).collect::<Vec<_>>(),
            "publishers": keyring.publishers.iter().map(|(name, known)| {
                let grant = known.holders.name().to_string();
                (name.clone(), json!({"key": known.holders, "grant": grant, "how": known.how, "since": known.since}))
            }).collect::<serde_json::Map<_, _>>(),
            "revoked": keyring.revoked.iter().map(|(key, why)| json!({"key": key, "because": why.because})).collect::<Vec<_>>(),
        }));
    }
    if own.is_empty() && keyring.publishers.is_empty() && keyring.revoked.is_empty() {
        if !is_whole {
            return Ok(());
        }
        screen::tell("no keys: `agentry key new NAME` makes one, `agentry key trust PUBLISHER KEY` trusts another's\n");
        return Ok(());
    }
    let mut table = Table::new([left("name"), left("key"), left("")]);
    for (name, key) in own {
        table.row([text::line(&name).into(), key.to_string().into(), "of this home".into()], String::new());
    }
    for (name, known) in &keyring.publishers {
        let (holders, how) = (&known.holders, known.how.to_string());
        let how = match holders.only() {
            Some(_) => how,
            None => format!("{} of {} keys, {how}", holders.threshold(), holders.keys().len()),
        };
        table.row([text::line(name).into(), holders.name().to_string().into(), how.into()], String::new());
        for key in holders.keys().filter(|_| holders.only().is_none()) {
            table.row(["".into(), key.to_string().into(), "one of these".into()], String::new());
        }
    }
    for (key, why) in &keyring.revoked {
        table.row(
            ["".into(), key.to_string().into(), text::cut(&format!("revoked {}", why.because), 60).into()],
            String::new(),
        );
    }
    screen::page(&table.show(screen::fold::columns()))
}

fn trust(args: &Trust) -> Result<()> {
    labels::check(&args.publisher).map_err(|flaw| {
        let message = format!("`{}` cannot be a publisher: it {flaw}", text::line(&args.publisher));
        Fault::usage(message, "for example acme")
    })?;
    let holders = args.keys.holders()?;
    let name = holders.name();
    let mut set = Set::open(args.home.resolve()?.path())?;
    if let Some(other) = set.keyring().imitated(&args.publisher).map(str::to_owned) {
        screen::tell(&format!(
            "{}: `{}` looks like `{other}`, whom this home knows\n",
            styled(BAD, "careful"),
            args.publisher
        ));
    }
    set.trust(&args.publisher, Known { holders, how: How::Pinned, since: units::now() }, args.replace)?;
    screen::tell(&format!("{}\n", styled(GOOD, format!("{} is trusted by {name}", args.publisher))));
    Ok(())
}

fn revoke(args: &Revoke) -> Result<()> {
    if args.because.len() > BECAUSE_MAX_BYTES {
        return Err(Fault::usage(
            format!("the reason has more than {BECAUSE_MAX_BYTES} bytes"),
            "say it in a sentence",
        )
        .into());
    }
    let mut set = Set::open(args.home.existing()?.path())?;
    let key = match set.keyring().publishers.get(&args.key) {
        Some(known) => known.holders.only().ok_or_else(|| {
            let message = format!("`{}` has several keys", text::line(&args.key));
            Fault::usage(message, "name the one that is to be revoked; `agentry key list` shows them")
        })?,
        None => args.key.parse::<PublicKey>().map_err(|_| {
            let known = set.keyring().publishers.keys().map(String::as_str);
            let hint = text::meant(&args.key, known, "`agentry key list` shows publishers and keys");
            Fault::usage(format!("`{}` is no publisher that this home knows, and no key", text::line(&args.key)), hint)
        })?,
    };
    let agents = set.revoke(key, Revoked { since: units::now(), because: args.because.clone() })?;
    screen::tell(&format!("{}\n", styled(GOOD, format!("{key} is revoked"))));
    for agent in agents {
        let uninstall = given::completed(&format!("agentry uninstall {agent}"));
        screen::tell(&format!("  {} is granted nothing any more: {uninstall}\n", text::line(&agent)));
    }
    Ok(())
}
