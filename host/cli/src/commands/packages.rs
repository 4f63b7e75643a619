//! What verbs about packages have in common: where packages come from, what one may do in plain words, who says yes, and the change
//! itself. Text of a package reaches a screen through `screen::text` alone, and a model never.

mod candidate;
mod change;
mod compare;
mod consent;
mod effect;
mod look;
mod shadow;
mod words;

pub use self::candidate::{Candidate, Wanted, Way, listed};
pub use self::change::{Change, Outcome, carry_out};
pub use self::compare::Compared;
pub use self::consent::{ConsentArgs, code};
pub use self::effect::Effect;
pub use self::look::{Looked, command, look};
pub use self::words::{as_json, does, drafted_costs, page};

use std::process::ExitCode;
use std::sync::Arc;

use agentry_drivers::web::{System, Web};
use agentry_packages::Fault;
use agentry_packages::config::{IndexLine, PackagesConfig};
use agentry_packages::index::client::Index;
use agentry_packages::lock::Release;
use agentry_packages::set::Set;
use agentry_packages::source::Source;
use agentry_runtime::config::Config;
use anyhow::Result;
use serde_json::json;

use crate::exit::Exit;
use crate::home::{Home, HomeArgs};
use crate::screen::{self, text, units};

/// The indexes of a home, each with the way to it.
pub struct Indexes {
    /// What an admin allows.
    pub config: PackagesConfig,
    sources: Vec<(IndexLine, Source)>,
}

impl Indexes {
    /// Those that `packages.toml` names; of these, the one of this name if one is given.
    pub fn of(home: &Home, only: Option<&str>) -> Result<Self> {
        let config = PackagesConfig::load(home.path())?;
        let web = Arc::new(Web::new(Arc::new(System::new(Config::load(home.path())?.hosts))));
        let lines = config.indexes.iter().filter(|line| only.is_none_or(|only| only == line.name));
        let sources: Vec<_> = lines.map(|line| (line.clone(), Source::new(&line.at, Arc::clone(&web)))).collect();
        if let Some(only) = only.filter(|_| sources.is_empty()) {
            let known = config.indexes.iter().map(|line| line.name.as_str());
            let hint = text::meant(only, known, "packages.toml of the home names the indexes");
            let message = format!("there is no index `{}` here", text::line(only));
            return Err(Fault::usage(message, hint).into());
        }
        Ok(Self { config, sources })
    }

    /// Each of them as it is now, read and verified.
    pub async fn read(&self, home: &Home) -> Result<Vec<Index<'_>>> {
        if self.sources.is_empty() {
            let hint = "name one in packages.toml of the home: [indexes.main] with at = \"https://…\" and root = \"ed25519:…\"";
            return Err(Fault::usage("this home knows no index", hint).into());
        }
        let mut indexes = Vec::new();
        for (line, source) in &self.sources {
            indexes.push(Index::read(home.path(), &line.name, line.root, source, units::now()).await?);
        }
        Ok(indexes)
    }
}

/// The options of verbs that change an agent which is installed.
#[derive(clap::Args)]
pub struct InstalledArgs {
    /// The agent
    #[arg(value_name = "AGENT")]
    agent: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl InstalledArgs {
    /// Changes it, and says by `what` what was done to which release.
    pub fn change(&self, act: impl FnOnce(&mut Set, &str) -> Result<Release, Fault>, what: &str) -> Result<ExitCode> {
        let mut set = Set::open(self.home.existing()?.path())?;
        let release = act(&mut set, &self.agent)?;
        done(self.json, &set, &self.agent, &release, what)
    }
}

fn done(as_json: bool, set: &Set, agent: &str, release: &Release, what: &str) -> Result<ExitCode> {
    let version = &release.version;
    if as_json {
        screen::print_json(&json!({"agent": agent, "version": version, "outcome": what, "notes": set.notes()}))?;
    } else {
        screen::tell(&format!("{} {} {what}\n", text::line(agent), text::line(version)));
        set.notes().iter().for_each(|note| screen::tell(&format!("  {}\n", text::line(note))));
    }
    Ok(Exit::Done.into())
}
