//! `agentry install` and `agentry info`: a stranger's package, from its name to a safe run. All that it may do is shown first, in plain words and in money;
//! without somebody's yes nothing is written.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_packages::keyring::Keyring;
use agentry_packages::lock::Lock;
use agentry_packages::set::Set;
use anyhow::{Context, Result};

use super::hosting::root;
use super::packages::{
    self, Candidate, Change, Compared, ConsentArgs, Effect, Outcome, Wanted, Way, as_json, carry_out, code,
};
use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, text};

/// Installs a package: shows what it may do and cost, asks, and runs it by its name from then on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry install acme:bookkeeper                                  # the newest of an index of packages.toml
  agentry install acme:bookkeeper@1.2.0 --root documents=./papers
  agentry install ./bookkeeper.wasm                                # with bookkeeper.wasm.sig beside it
  agentry install ./bookkeeper.wasm --digest sha256:9c1f…          # unsigned, named by its digest
  agentry info acme:bookkeeper                                     # shows the same and installs nothing

Without a terminal a person looks at it first, and says yes by the code that is shown: --consent CODE. --yes does only what policy allows \
already: a grant for this very package in the policy directory. Exit code 3 says that nobody said yes.")]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// What a folder that it asks for is to be; as often as there are folders
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = root)]
    roots: Vec<(String, PathBuf)>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows what a package is, who vouches for it, and what it may do and cost; installs nothing
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry info acme:bookkeeper
  agentry info ./bookkeeper.wasm --json")]
pub struct Info {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Installs it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    // What a command left that did not come to its end is finished first.
    drop(Set::open(home.path())?);
    let looked = look(&home, &args.wanted)?;
    let command = command(&args.wanted);
    let change = Change {
        home: &home,
        candidate: &looked.candidate,
        compared: looked.compared.as_ref(),
        consent: &args.consent,
        roots: &args.roots,
        command: &command,
        json: args.json,
    };
    match carry_out(&change, &looked.lock)? {
        Outcome::Installed(told) if args.json => screen::print_json(&told)?,
        Outcome::Installed(_) => {}
        Outcome::Same => screen::tell(&format!("{} is installed already\n", looked.candidate.story())),
    }
    Ok(Exit::Done.into())
}

/// Shows it.
pub fn info(args: &Info) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let Looked { candidate, compared, lock } = look(&home, &args.wanted)?;
    let before = lock.agents.get(candidate.agent()).map(|installed| &installed.now);
    let wider = compared.as_ref().is_none_or(Compared::is_wider);
    let effect = Effect::of(&home, &candidate.package.manifest, before, wider)?;
    if args.json {
        screen::print_json(&as_json(&candidate, &effect, compared.as_ref()))?;
    } else {
        let install = format!("{} --consent {}", command(&args.wanted), code(&candidate));
        screen::page(&format!(
            "{}\nto install exactly this: {install}\n",
            packages::page(&candidate, &effect, compared.as_ref())
        ))?;
    }
    Ok(Exit::Done.into())
}

/// A package that was looked at, beside what is installed.
struct Looked {
    candidate: Candidate,
    compared: Option<Compared>,
    lock: Lock,
}

fn look(home: &Home, wanted: &Wanted) -> Result<Looked> {
    let (lock, keyring) = (Lock::load(home.path())?, Keyring::load(home.path())?);
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    threads.block_on(async {
        let candidate = Candidate::of(home, Way::Wanted(wanted), &lock, &keyring).await?;
        let candidate = candidate.context("nothing of this name is listed")?;
        let now = lock.agents.get(candidate.agent()).map(|installed| &installed.now);
        let now =
            now.filter(|now| now.name == candidate.package.manifest.name && now.digest.0 != candidate.package.digest);
        // A person is here, so nothing cools off.
        let compared = match now {
            Some(now) => Some(Compared::of(home, now, &candidate, 0).await?),
            None => None,
        };
        Ok(Looked { candidate, compared, lock })
    })
}

/// The command that was given, without a yes.
fn command(wanted: &Wanted) -> String {
    let mut command = format!("agentry install {}", text::line(&wanted.package));
    for (option, given) in [("--digest", &wanted.digest), ("--index", &wanted.index)] {
        if let Some(given) = given {
            command.push_str(&format!(" {option} {}", text::line(given)));
        }
    }
    command
}
