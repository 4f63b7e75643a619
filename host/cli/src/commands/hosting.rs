//! The options of every command that is a host, and how one is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use agentry_config::policies;
use agentry_runtime::config::{AgentsConfig, Cause};
use agentry_runtime::host::{self, Host, Options};
use agentry_serve::api::{LiveRuns, LookAtHost};
use agentry_serve::error::Kind;
use agentry_serve::{OpenError, socket};
use agentry_store::StoreError;
use anyhow::{Result, anyhow, bail};

use super::clock;
use crate::exit::{Exit, With};
use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen::{self, HINT, styled, text};

/// What a host is made of.
#[derive(clap::Args)]
pub struct HostingArgs {
    #[command(flatten)]
    home: HomeArgs,
    /// The directory of policies [default: the home's policies]
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// What agents get when they ask for their default model
    #[arg(long, value_name = "ALIAS|scripted:FILE")]
    model: Option<String>,
    /// What a root that the policy grants stands for; as often as there are roots
    #[arg(long = "root", value_name = "NAME=DIR", value_parser = root)]
    roots: Vec<(String, PathBuf)>,
}

impl HostingArgs {
    /// Nothing but this home.
    pub fn of(home: HomeArgs) -> Self {
        Self { home, policies: None, model: None, roots: Vec::new() }
    }

    /// The home.
    pub fn home(&self) -> Result<Home> {
        self.home.resolve()
    }

    /// The directory of policies.
    pub fn policies(&self) -> Result<PathBuf> {
        Ok(self.policies.clone().unwrap_or(self.home()?.policies()))
    }

    /// The same, where `default` stands for what it stood for in a run that goes on, if nobody says otherwise.
    pub fn asking(self, asked: impl FnOnce(&Home) -> Result<Option<String>>) -> Result<Self> {
        let model = match self.model {
            Some(model) => Some(model),
            None => asked(&self.home()?)?,
        };
        Ok(Self { model, ..self })
    }

    /// True if something is asked for that a host which runs already cannot give.
    pub fn wants_its_own_host(&self) -> bool {
        self.policies.is_some() || self.model.is_some() || !self.roots.is_empty()
    }

    /// Refuses what a host that runs in this home already would not hear of.
    pub fn unless_hosted(&self, home: &Home) -> Result<()> {
        let hosted = || match socket::ask(home.path(), LiveRuns) {
            Ok(_) => true,
            Err(error) => error.kind == Kind::NotServing,
        };
        if !self.wants_its_own_host() || !hosted() {
            return Ok(());
        }
        let serves = socket::ask(home.path(), LookAtHost).is_ok_and(|host| host.serves || host.stops);
        let told = if serves {
            anyhow!(
                "a host serves this home, with models, roots and policies of its own\nhint: leave out --model, --root and --policies; or give them to agentry serve, or this run a home of its own with --home DIR"
            )
        } else {
            anyhow!(
                "another run is going on in this home, and takes no others\nhint: wait until it has ended; where several are to run at once, end it and start `agentry serve` with --model, --root and --policies, which takes them all; or give this one a home of its own with --home DIR"
            )
        };
        Err(With(Exit::Unavailable, told).into())
    }

    /// All of it.
    pub fn options(self) -> Result<Options> {
        let home = self.home()?;
        let (policies, roots) = (self.policies.unwrap_or_else(|| home.policies()), roots(self.roots)?);
        tell_of_unnamed(&roots, &policies, &home);
        Ok(Options {
            policies,
            home: home.path().to_path_buf(),
            roots,
            model: self.model,
            models: home.models(),
            preparer: package::preparer()?,
            accept_older: false,
            one_run: false,
        })
    }
}

/// What is said where the system has no Landlock.
pub const NO_LANDLOCK: &str =
    "this system has no Landlock: agents are kept from files by their calls alone; `agentry doctor` says more";

/// Opens a host whose agents can be executed, and says so on standard error where they are kept from less than elsewhere.
pub async fn open(options: Options) -> Result<Host> {
    checked(open_unchecked(options).await?).await
}

/// The same for one run of this component, which is made ready while a process for agents starts.
pub async fn open_for(component: &Path, options: Options) -> Result<Host> {
    let host = open_unchecked(options).await?;
    host.prepare_soon(component);
    checked(host).await
}

async fn checked(host: Host) -> Result<Host> {
    if !keeps_files(&host).await? {
        screen::tell(&format!("{}: {NO_LANDLOCK}\n", styled(HINT, "warning")));
    }
    // A host that serves looks again and again; a run is over before its first look.
    if let Some(off) = clock::off(&host.services().drivers.gate.clock().reading()) {
        screen::warn(&format!("{off}: this home goes by its own time\nhint: {}", clock::MEND));
    }
    Ok(host)
}

/// Whether the system keeps the processes of agents from every file; true as well where an admin chose that there be none. There is no other way
/// to get fewer walls than a host says: where no such process starts, no agent is executed.
pub async fn keeps_files(host: &Host) -> Result<bool> {
    let landlocked = host.is_landlocked().await.map_err(|why| {
        let hint = "`agentry doctor` looks at what they need; with `isolation = \"none\"` under [engine] in agentry.toml \
                    agents are executed in this process, which is weaker";
        With(Exit::Unavailable, anyhow!("no process for agents starts: {}\nhint: {hint}", text::line(&why)))
    })?;
    Ok(landlocked.unwrap_or(true))
}

/// Opens the host, whatever its agents can be executed by.
pub async fn open_unchecked(options: Options) -> Result<Host> {
    let home = options.home.clone();
    agentry_serve::open(options).await.map_err(|error| not_opened(&home, error))
}

/// The same of one that is to serve.
pub async fn open_to_serve(options: Options) -> Result<Host> {
    let home = options.home.clone();
    agentry_serve::open_to_serve(options).await.map_err(|error| not_opened(&home, error))
}

fn not_opened(home: &Path, error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Host(host::OpenError::Store(error)) => not_to_be_had(home, error),
        error => error.into(),
    }
}

/// A home that a host serves, for whoever wants to have it; it says what to do about that.
#[derive(Debug)]
struct Served(String);

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Served {}

/// A store that could not be opened. A host that serves does not end by itself, so whoever waits for it waits for ever.
pub fn not_to_be_had(home: &Path, error: StoreError) -> anyhow::Error {
    let served = |shown: &str| {
        let host = socket::ask(home, LookAtHost).ok().filter(|host| host.serves || host.stops)?;
        let process = host.process;
        Some(Served(format!(
            "another agentry is using {shown} (pid {process}): a host that serves\nhint: `agentry status` shows how it stands; to have the home without it, end it first: kill {process}"
        )))
    };
    let told = match &error {
        StoreError::InUse { home, .. } => served(home).map(anyhow::Error::from),
        _ => None,
    };
    With(Exit::Unavailable, told.unwrap_or_else(|| error.into())).into()
}

/// Whether somebody else has the home.
pub fn is_in_use(error: &anyhow::Error) -> bool {
    error.downcast_ref::<With>().is_some_and(|With(_, error)| {
        error.is::<Served>() || matches!(error.downcast_ref(), Some(StoreError::InUse { .. }))
    })
}

/// A root as it is given: `NAME=DIR`.
pub fn root(given: &str) -> Result<(String, PathBuf), String> {
    match given.split_once('=') {
        Some((name, directory)) if !name.is_empty() && !directory.is_empty() => Ok((name.to_owned(), directory.into())),
        _ => Err("a root is NAME=DIR, such as documents=./docs".to_owned()),
    }
}

/// Says which of these roots nothing here names, which nobody will ever look at. What cannot be read says so when it is used.
fn tell_of_unnamed(given: &BTreeMap<String, PathBuf>, policies: &Path, home: &Home) {
    if given.is_empty() {
        return;
    }
    let (Ok(policy), Ok(agents)) = (policies::load(policies), AgentsConfig::load(home.path())) else { return };
    let granted = policy.grants.iter().flat_map(|grant| &grant.rights.files).map(|right| right.root.as_str());
    let starts = agents.agents.iter().flat_map(|agent| &agent.start);
    let watched = starts.filter_map(|line| match &line.cause {
        Cause::Directory(root) => Some(root.as_str()),
        Cause::Cron(_) | Cause::Letter | Cause::Memory(_) | Cause::Webhook { .. } => None,
    });
    let named: BTreeSet<&str> = granted.chain(watched).collect();
    for root in given.keys().filter(|root| !named.contains(root.as_str())) {
        let hint = text::meant(root, named.iter().copied(), "a grant names roots in its [[files]]");
        let root = text::line(root);
        screen::tell(&format!("{}: no grant names the root `{root}`: {hint}\n", styled(HINT, "warning")));
    }
}

fn roots(given: Vec<(String, PathBuf)>) -> Result<BTreeMap<String, PathBuf>> {
    let mut roots = BTreeMap::new();
    for (name, directory) in given {
        if let Some(first) = roots.insert(name.clone(), directory) {
            bail!("root `{name}` is given twice\nhint: it is {} already; leave one of them out", first.display());
        }
    }
    Ok(roots)
}
