//! What verbs about packages have in common: where packages come from, what one may do in plain words, who says yes, and the change
//! itself. Text of a package reaches a screen through `screen::text` alone, and a model never.

mod candidate;
mod change;
mod compare;
mod consent;
mod effect;
pub mod entry;
mod folders;
pub mod left_out;
mod look;
mod models;
mod secrets;
mod shadow;
mod standing;
mod team;
mod unnamed;
mod which;
mod words;

pub use self::candidate::{Candidate, Wanted, listed, registry};
pub use self::change::{Change, Outcome, carry_out, lacking};
pub use self::compare::Compared;
pub use self::consent::{ConsentArgs, agreed, code};
pub use self::effect::{Effects, allowed};
pub use self::folders::given_roots;
pub use self::look::{Looked, command, look};
pub use self::models::{Unable, needs};
pub use self::secrets::{Held, given_secrets};
pub use self::standing::{Standing, why};
pub use self::team::{Beside, Team};
pub use self::words::{as_json, asks, does, drafted_costs, page};

use std::collections::BTreeSet;
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
use futures::future::join_all;
use serde_json::{Value, json};

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
        let system = Arc::new(System::new(Config::load(home.path())?.hosts));
        // Each has a way of its own: what one has under way takes no room from another.
        let web = || Arc::new(Web::new(Arc::clone(&system) as _));
        let lines = config.indexes.iter().filter(|line| only.is_none_or(|only| only == line.name));
        let sources: Vec<_> = lines.map(|line| (line.clone(), Source::new(&line.at, web()))).collect();
        if let Some(only) = only.filter(|_| sources.is_empty()) {
            let known = config.indexes.iter().map(|line| line.name.as_str());
            let hint = text::meant(only, known, "packages.toml of the home names the indexes");
            let message = format!("there is no index `{}` here", text::line(only));
            return Err(Fault::usage(message, hint).into());
        }
        Ok(Self { config, sources })
    }

    /// Each of them as it is now, read and verified.
    pub async fn read(&self, home: &Home) -> Result<Vec<Index<'_>>, Fault> {
        let each = self.each(home).await?.into_iter();
        each.map(|read| read.map_err(|(name, fault)| self.alone(&name, fault))).collect()
    }

    /// The same for whoever only looks: what is wrong with one hides nothing that the others list, and is told.
    pub async fn read_some(&self, home: &Home) -> Result<Vec<Index<'_>>, Fault> {
        let (read, faults) = self.read_apart(home).await?;
        let faults: Vec<Fault> = faults.into_iter().map(|(_, fault)| fault).collect();
        left_out::indexes(&faults);
        Ok(read)
    }

    /// Those that could be read, one at least, and what is wrong with the others, by their names.
    pub async fn read_apart(&self, home: &Home) -> Result<(Vec<Index<'_>>, Vec<(String, Fault)>), Fault> {
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for one in self.each(home).await? {
            match one {
                Ok(index) => read.push(index),
                Err(fault) => faults.push(fault),
            }
        }
        if read.is_empty() { Err(faults.remove(0).1) } else { Ok((read, faults)) }
    }

    /// What is wrong with the index of this name.
    pub fn about(&self, name: &str, fault: Fault) -> Fault {
        if self.sources.len() == 1 { fault } else { fault.about(&format!("index `{name}`")) }
    }

    /// The same where nothing is done without it: that another one can be asked alone.
    pub fn alone(&self, name: &str, fault: Fault) -> Fault {
        match self.sources.iter().map(|(line, _)| &line.name).find(|other| *other != name) {
            None => fault,
            Some(other) => {
                let hint = format!("{}; or ask another index alone: --index {other}", fault.hint);
                Fault { hint, ..fault }
            }
        }
    }

    /// All of them at the same time, in the order of their names: one that is silent holds up no other.
    async fn each(&self, home: &Home) -> Result<Vec<Result<Index<'_>, (String, Fault)>>, Fault> {
        if self.sources.is_empty() {
            let hint = "name one in packages.toml of the home: [indexes.main] with at = \"https://…\" and root = \"ed25519:…\"";
            return Err(Fault::usage("this home knows no index", hint));
        }
        let each = self.sources.iter().map(|(line, source)| async move {
            let read = Index::read(home.path(), &line.name, line.root, source, units::now()).await;
            read.map_err(|fault| (line.name.clone(), self.about(&line.name, fault)))
        });
        Ok(join_all(each).await)
    }
}

/// The options of verbs that change an agent which is installed.
#[derive(clap::Args)]
pub struct InstalledArgs {
    /// Which agents; several change at once
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<String>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object, or an array for several agents
    #[arg(long)]
    json: bool,
}

impl InstalledArgs {
    /// Where they are installed.
    pub fn home(&self) -> Result<Home> {
        self.home.existing()
    }

    /// Which, as they were named.
    pub fn agents(&self) -> &[String] {
        &self.agents
    }

    /// True if what is done is printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one JSON object, or an array of several.
    pub fn print_json(mut told: Vec<Value>) -> Result<()> {
        screen::print_json(&if told.len() == 1 { told.remove(0) } else { Value::from(told) })
    }

    /// Changes them, and says by `what` what was done to which releases.
    pub fn change(
        &self,
        act: impl FnOnce(&mut Set, &[String]) -> Result<Vec<Release>, Fault>,
        what: &str,
    ) -> Result<ExitCode> {
        let mut agents = self.agents.clone();
        let mut seen = BTreeSet::new();
        agents.retain(|agent| seen.insert(agent.clone()));
        let mut set = Set::open(self.home()?.path())?;
        let releases = act(&mut set, &agents)?;
        let notes = set.notes();
        if self.json {
            let told = |(agent, release): (&String, &Release)| json!({"agent": agent, "version": release.version, "outcome": what, "notes": notes});
            Self::print_json(agents.iter().zip(&releases).map(told).collect())?;
        } else {
            for (agent, release) in agents.iter().zip(&releases) {
                screen::tell(&format!("{} {} {what}\n", text::line(agent), text::line(&release.version)));
            }
            notes.iter().for_each(|note| screen::tell(&format!("  {}\n", text::line(note))));
        }
        Ok(Exit::Done.into())
    }
}
