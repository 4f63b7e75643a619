//! `agentry verify`: whether what is installed is what was agreed to: file, signature, key and lock. It changes nothing.

mod rebuild;
mod sbom;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_config::policies;
use agentry_kernel::manifest::{Manifest, WantsSecret};
use agentry_kernel::policy::{Grant, Policy};
use agentry_packages::Fault;
use agentry_packages::config::PackagesConfig;
use agentry_packages::keyring::Keyring;
use agentry_packages::lock::{Lock, Pending, Release, consent};
use agentry_packages::name;
use agentry_packages::party::{Party, Voucher};
use agentry_packages::set::{envelope, not_installed, verified};
use agentry_packages::statement::{Statement, capabilities};
use anyhow::Result;
use serde_json::{Value, json};

use super::packages::{Held, Unable};
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen::{self, BAD, GOOD, HINT, styled, text, units};

/// Checks that installed agents are what was signed and agreed to
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry verify
  agentry verify bookkeeper --json
  agentry verify --rebuild ./bookkeeper-source                     # whether the bookkeeper that is installed is what this makes
  agentry verify --rebuild ./bookkeeper-source bookkeeper.wasm
  agentry verify bookkeeper --sbom bookkeeper.cdx.json             # whether this is what its publisher signed with it

Exit code 1 if one is not.")]
pub struct Args {
    /// Which agents; all if none is named. With --rebuild one agent, or a file [default: the agent that the source names]; with --sbom as well
    #[arg(value_name = "AGENT|FILE.wasm")]
    agents: Vec<String>,
    /// Build the source in this directory again, and compare: its toolchain and its crates run code with your rights while they build
    #[arg(long, value_name = "DIR")]
    rebuild: Option<PathBuf>,
    /// Hold this bill of materials against the one that the publisher of one package signed with it
    #[arg(long, value_name = "BOM.json", conflicts_with = "rebuild", requires = "agents")]
    sbom: Option<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array; with --rebuild or --sbom one object
    #[arg(long)]
    json: bool,
}

/// Checks them.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(source) = &args.rebuild {
        return rebuild::run(source, &args.agents, &args.home, args.json);
    }
    if let Some(bom) = &args.sbom {
        return sbom::run(bom, &args.agents, &args.home, args.json);
    }
    let home = args.home.existing()?;
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    let config = PackagesConfig::load(home.path())?;
    let mut told = Vec::new();
    let mut good = true;
    for (agent, release) in one_or_all(&lock, &args.agents)? {
        let checked = check(home.path(), &release, &config, &keyring)
            .and_then(|manifest| is_granted(&home, &lock, &release, &manifest))
            .and_then(|unable| is_whole(&lock, &agent).map(|()| unable));
        let (unable, trouble) = match checked {
            Ok(unable) => (unable, None),
            Err(why) => (None, Some(text::explain(&why))),
        };
        good &= trouble.is_none();
        let (trouble, hints) = trouble.unzip();
        let (warning, advice) = unable.map(|Unable { message, hint }| (message, hint)).unzip();
        let hint = hints.map(|hints| hints.join("; ")).or(advice);
        told.push(json!({
            "agent": agent, "version": release.version, "digest": release.digest, "key": release.vouched, "trouble": trouble, "warning": warning, "hint": hint,
        }));
    }
    if args.json {
        screen::print_json(&told)?;
    } else if told.is_empty() {
        screen::tell("no packages: `agentry install PUBLISHER:NAME` or `agentry install FILE.wasm` installs one\n");
    } else {
        for one in &told {
            let agent = text::line(one["agent"].as_str().unwrap_or_default());
            let hint = screen::given::completed(one["hint"].as_str().unwrap_or_default());
            let hint = format!("    {}: {hint}\n", styled(HINT, "hint"));
            let version = text::line(one["version"].as_str().unwrap_or_default());
            let head = || format!("{} {agent} {version}{}\n", styled(GOOD, "✓"), certified(&one["key"]));
            let line = match (one["trouble"].as_str(), one["warning"].as_str()) {
                (None, None) => head(),
                (None, Some(warning)) => {
                    format!("{}    {}: {warning}\n{hint}", head(), styled(HINT, "warning"))
                }
                (Some(trouble), _) => format!("{} {agent}: {trouble}\n{hint}", styled(BAD, "✗")),
            };
            screen::print(&line)?;
        }
    }
    Ok(if good { Exit::Done } else { Exit::Failed }.into())
}

/// Whom a certificate named that signed it, and when; nothing of keys.
fn certified(key: &Value) -> String {
    let (Some(by), Some(at)) = (key["by"].as_str(), key["at"].as_u64()) else { return String::new() };
    format!(", signed under a certificate of {}, logged {} UTC", text::line(by), units::moment(at))
}

/// File, manifest, signature, key and yes, each against the others. Gives what it says of itself.
fn check(home: &Path, release: &Release, config: &PackagesConfig, keyring: &Keyring) -> Result<Manifest> {
    let package = package::of_file(&verified(home, release)?)?;
    let asks = capabilities(&package.manifest);
    let wrong = |what: &str| Fault::damaged(format!("{what} is not what was agreed to"), "install it again");
    if asks != release.capabilities.0 || package.manifest.name != release.name {
        return Err(wrong("what it asks for").into());
    }
    // Versions of Agentry that knew of no requirements ran no package that has some.
    if package.manifest.requirements().map(|one| one.to_string()).ne(release.requires.iter().cloned()) {
        return Err(wrong("what it requires").into());
    }
    if release.consent.to.0 != consent(release.digest.0, release.capabilities.0) {
        return Err(wrong("the yes in the lock").into());
    }
    let Some(voucher) = &release.vouched else { return Ok(package.manifest) };
    let signature = envelope(home, release)?.ok_or_else(|| wrong("its signature, which is gone,"))?;
    let publisher = name::publisher(&release.name);
    let party = voucher.party();
    let now = match voucher {
        Voucher::Keys(_) => {
            let said = Statement::open(&signature)?;
            said.vouches_for(&package)?;
            Voucher::from(said.vouched)
        }
        Voucher::Identity(certified) => {
            let file = agentry_engine::package::read(&verified(home, release)?)?;
            config.proof(&signature, &file)?.of(publisher, &certified.identity)?.into()
        }
    };
    if now != *voucher {
        return Err(wrong("who signed it").into());
    }
    keyring.still_takes(voucher)?;
    // A person had a new key stand for the old one, which may be a thief's by now: nothing here says to take that again.
    let pinned = config.identity(publisher).cloned().map(Party::from);
    let known = pinned.or_else(|| keyring.publishers.get(publisher).map(|known| known.party.clone()));
    if let Some(known) = known.filter(|known| *known != party) {
        let message = format!("it was signed by {party}, and `{publisher}` has {known} now");
        let hint = match &release.index {
            Some(_) => format!("`agentry update {}` takes a version that the new key signed", package.manifest.agent()),
            None => "install a version that the new key signed".to_owned(),
        };
        return Err(Fault::denied(message, hint).into());
    }
    keyring.trusts(publisher, voucher, None)?;
    Ok(package.manifest)
}

/// Whether a grant is in force for it, or will be once what was begun is finished, and the home has the secrets that this gives. Gives what it needs of
/// a model and no model has that it may ask.
fn is_granted(home: &Home, lock: &Lock, release: &Release, manifest: &Manifest) -> Result<Option<Unable>> {
    let file = format!("50-{}.toml", manifest.agent());
    if lock.pending.iter().any(|pending| matches!(pending, Pending::Place { grant, .. } if grant.file == file)) {
        return Ok(None);
    }
    let (agent, signer) = (manifest.agent(), release.vouched.as_ref().map(|voucher| voucher.party().name()));
    let directory = home.policies();
    let policy = if directory.exists() { policies::load(&directory)? } else { Policy::default() };
    if let Some(grant) = policy.grant(agent, manifest, signer) {
        has_secrets(home, grant, manifest)?;
        return Unable::of(home, manifest.wants.llm.as_ref(), grant.rights.llm.as_ref(), &grant.rule.file);
    }
    let hint = match &release.index {
        Some(_) => {
            format!("`agentry install {}@{}` writes it anew", release.name, release.version)
        }
        None => "install its file again, or get the grant back out of a backup".to_owned(),
    };
    Err(Fault::denied("no grant in the policy directory is for it, so it may do nothing", hint).into())
}

/// Whether the home still has each secret that it asks for and that its grant gives it.
fn has_secrets(home: &Home, grant: &Grant, manifest: &Manifest) -> Result<()> {
    let held = Held::of(home.path())?;
    let given = |want: &&WantsSecret| grant.rights.secrets.iter().any(|right| want.is_given_by(right));
    let lacking: Vec<_> = manifest.wants.secrets.iter().filter(given).filter(|want| !held.has(want)).collect();
    let Some(first) = lacking.first() else { return Ok(()) };
    let message =
        format!("its grant gives it the secret `{}` for {}, and this home has none", first.handle, first.only_to);
    Err(Fault::damaged(text::line(&message), held.remedy(&lacking)).into())
}

/// Whether all that it requires is here.
fn is_whole(lock: &Lock, agent: &str) -> Result<()> {
    match lock.team().unmet().into_iter().find(|(by, _)| *by == agent) {
        None => Ok(()),
        Some((_, requirement)) => {
            let message = format!("it requires {requirement}, and nothing here meets that");
            Err(Fault::damaged(message, "agentry install what it requires").into())
        }
    }
}

/// The agents that were named, or all.
fn one_or_all(lock: &Lock, agents: &[String]) -> Result<Vec<(String, Release)>> {
    let all = lock.agents.iter().map(|(agent, installed)| (agent.clone(), installed.now.clone()));
    if agents.is_empty() {
        return Ok(all.collect());
    }
    let one = |agent: &String| {
        let found = lock.agents.get(agent).map(|installed| (agent.clone(), installed.now.clone()));
        found.ok_or_else(|| not_installed(agent, lock).into())
    };
    agents.iter().map(one).collect()
}
