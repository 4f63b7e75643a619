//! `agentry key`: keys that sign packages and indexes, and the publishers that this home trusts. A secret half never leaves its file.

use std::process::ExitCode;

use agentry_kernel::labels;
use agentry_packages::Fault;
use agentry_packages::config::PackagesConfig;
use agentry_packages::holders::Holders;
use agentry_packages::identity::Identity;
use agentry_packages::key::{self, PublicKey};
use agentry_packages::keyring::{How, Keyring, Known, Lost, Revoked};
use agentry_packages::party::Party;
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

/// The longest identity that stands in a table.
const IDENTITY_MAX_CHARS: usize = 200;

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
  agentry key trust acme cosign:7d1e… --replace      # the identity that packages.toml pins, in the place of a key

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

/// Never takes a key or an identity again; agents that it signed are granted nothing from the next call on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry key revoke acme --because \"their build machine was broken into\"

Grants of agents that it signed leave the policy directory for withdrawn/ of the home, and a host that serves stops them at their next call.")]
struct Revoke {
    /// The publisher whose key or identity it is, or the key
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
    let (config, keyring) = (PackagesConfig::load(home.path())?, Keyring::load(home.path())?);
    // Whom an admin pins, and nobody has met yet as such.
    let pinned = config.publishers.iter().map(|line| (&line.name, &line.identity));
    let known = |name: &String| keyring.publishers.get(name).map(|known| known.party.name());
    let pinned: Vec<(&String, &Identity)> =
        pinned.filter(|(name, identity)| known(name) != Some(identity.name())).collect();
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
                let grant = known.party.name().to_string();
                (name.clone(), json!({"key": known.party, "grant": grant, "how": known.how, "since": known.since}))
            }).collect::<serde_json::Map<_, _>>(),
            "pinned": pinned.iter().map(|(name, identity)| {
                ((*name).clone(), json!({"key": identity, "grant": identity.name().to_string()}))
            }).collect::<serde_json::Map<_, _>>(),
            "revoked": keyring.revoked.iter().map(|(key, why)| json!({"key": key, "because": why.because}))
                .chain(keyring.revoked_identities.iter().map(|lost| json!({"key": lost.identity, "because": lost.revoked.because})))
                .collect::<Vec<_>>(),
        }));
    }
    let nothing_revoked = keyring.revoked.is_empty() && keyring.revoked_identities.is_empty();
    if own.is_empty() && keyring.publishers.is_empty() && pinned.is_empty() && nothing_revoked {
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
        let how = known.how.to_string();
        let several = known.party.keys().filter(|holders| holders.only().is_none());
        let how = match (several, &known.party) {
            (Some(holders), _) => format!("{} of {} keys, {how}", holders.threshold(), holders.keys().len()),
            (None, Party::Keys(_)) => how,
            (None, Party::Identity(identity)) => {
                format!("{how}: {}", text::cut(&identity.to_string(), IDENTITY_MAX_CHARS))
            }
        };
        table.row([text::line(name).into(), known.party.name().to_string().into(), how.into()], String::new());
        for key in several.into_iter().flat_map(Holders::keys) {
            table.row(["".into(), key.to_string().into(), "one of these".into()], String::new());
        }
    }
    for (name, identity) in pinned {
        let how = format!("in packages.toml: {}", text::cut(&identity.to_string(), IDENTITY_MAX_CHARS));
        table.row([text::line(name).into(), identity.name().to_string().into(), how.into()], String::new());
    }
    let identities = keyring.revoked_identities.iter().map(|lost| (lost.identity.to_string(), &lost.revoked));
    for (what, why) in keyring.revoked.iter().map(|(key, why)| (key.to_string(), why)).chain(identities) {
        let why = text::cut(&format!("revoked {}", why.because), 60);
        table.row(["".into(), text::cut(&what, IDENTITY_MAX_CHARS).into(), why.into()], String::new());
    }
    screen::page(&table.show(screen::fold::columns()))
}

fn trust(args: &Trust) -> Result<()> {
    labels::check(&args.publisher).map_err(|flaw| {
        let message = format!("`{}` cannot be a publisher: it {flaw}", text::line(&args.publisher));
        Fault::usage(message, "for example acme")
    })?;
    let home = args.home.resolve()?;
    let party = party(args, &PackagesConfig::load(home.path())?)?;
    let name = party.name();
    let mut set = Set::open(home.path())?;
    if let Some(other) = set.keyring().imitated(&args.publisher).map(str::to_owned) {
        screen::tell(&format!(
            "{}: `{}` looks like `{other}`, whom this home knows\n",
            styled(BAD, "careful"),
            args.publisher
        ));
    }
    set.trust(&args.publisher, Known { party, how: How::Pinned, since: units::now() }, args.replace)?;
    screen::tell(&format!("{}\n", styled(GOOD, format!("{} is trusted by {name}", args.publisher))));
    Ok(())
}

/// Whose word is to count: keys, or the identity that an admin pins.
fn party(args: &Trust, config: &PackagesConfig) -> Result<Party, Fault> {
    let publisher = &args.publisher;
    let Some(named) = args.keys.identity() else {
        config.takes_keys(publisher)?;
        return args.keys.holders().map(Party::from);
    };
    match config.identity(publisher) {
        Some(identity) if identity.name().to_string() == named => Ok(identity.clone().into()),
        _ => {
            let message = format!("packages.toml does not pin `{publisher}` by `{}`", text::line(named));
            Err(Fault::usage(
                message,
                format!("write who it is into packages.toml: [publishers.{publisher}] with identity and issuer"),
            ))
        }
    }
}

/// What is to be revoked: of whom this home knows, or whom it pins, by name; or a key.
fn lost(named: &str, keyring: &Keyring, config: &PackagesConfig) -> Result<Lost, Fault> {
    let known = keyring.publishers.get(named).map(|known| known.party.clone());
    match known.or_else(|| config.identity(named).cloned().map(Party::from)) {
        Some(Party::Identity(identity)) => Ok(Lost::Identity(identity)),
        Some(Party::Keys(holders)) => holders.only().map(Lost::Key).ok_or_else(|| {
            let message = format!("`{}` has several keys", text::line(named));
            Fault::usage(message, "name the one that is to be revoked; `agentry key list` shows them")
        }),
        None => named.parse().map(Lost::Key).map_err(|_| {
            let known = keyring.publishers.keys().map(String::as_str);
            let hint = text::meant(named, known, "`agentry key list` shows publishers and keys");
            Fault::usage(format!("`{}` is no publisher that this home knows, and no key", text::line(named)), hint)
        }),
    }
}

fn revoke(args: &Revoke) -> Result<()> {
    if args.because.len() > BECAUSE_MAX_BYTES {
        return Err(Fault::usage(
            format!("the reason has more than {BECAUSE_MAX_BYTES} bytes"),
            "say it in a sentence",
        )
        .into());
    }
    let home = args.home.existing()?;
    let mut set = Set::open(home.path())?;
    let lost = lost(&args.key, set.keyring(), &PackagesConfig::load(home.path())?)?;
    let shown = match &lost {
        Lost::Key(key) => key.to_string(),
        Lost::Identity(identity) => identity.to_string(),
    };
    let agents = set.revoke(lost, Revoked { since: units::now(), because: args.because.clone() })?;
    screen::tell(&format!("{}\n", styled(GOOD, format!("{shown} is revoked"))));
    for agent in agents {
        let uninstall = given::completed(&format!("agentry uninstall {agent}"));
        screen::tell(&format!("  {} is granted nothing any more: {uninstall}\n", text::line(&agent)));
    }
    Ok(())
}
