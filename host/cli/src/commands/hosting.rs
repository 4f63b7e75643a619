//! The options of every command that is a host, and how one is opened.

use std::collections::BTreeMap;
use std::path::PathBuf;

use agentry_packages::lock::Lock;
use agentry_runtime::host::{self, Host, Options};
use agentry_serve::OpenError;
use anyhow::{Result, bail};

use crate::exit::{Exit, With};
use crate::home::{Home, HomeArgs};
use crate::package;

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
    /// The home.
    pub fn home(&self) -> Result<Home> {
        self.home.resolve()
    }

    /// True if something is asked for that a host which runs already cannot give.
    pub fn wants_its_own_host(&self) -> bool {
        self.policies.is_some() || self.model.is_some() || !self.roots.is_empty()
    }

    /// All of it.
    pub fn options(self) -> Result<Options> {
        let home = self.home()?;
        Ok(Options {
            policies: self.policies.unwrap_or_else(|| home.policies()),
            home: home.path().to_path_buf(),
            roots: with_installed(roots(self.roots)?, &home)?,
            model: self.model,
            models: home.models(),
            preparer: package::preparer()?,
            accept_older: false,
        })
    }
}

/// Opens the host.
pub async fn open(options: Options) -> Result<Host> {
    agentry_serve::open(options).await.map_err(|error| match error {
        OpenError::Host(host::OpenError::Store(_)) => With(Exit::Unavailable, error.into()).into(),
        error => error.into(),
    })
}

/// A root as it is given: `NAME=DIR`.
pub fn root(given: &str) -> Result<(String, PathBuf), String> {
    match given.split_once('=') {
        Some((name, directory)) if !name.is_empty() && !directory.is_empty() => Ok((name.to_owned(), directory.into())),
        _ => Err("a root is NAME=DIR, such as documents=./docs".to_owned()),
    }
}

/// What roots of installed agents stand for, unless somebody says otherwise now.
fn with_installed(given: BTreeMap<String, PathBuf>, home: &Home) -> Result<BTreeMap<String, PathBuf>> {
    let mut roots = Lock::load(home.path())?.all_roots();
    roots.retain(|_, directory| directory.is_dir());
    roots.extend(given);
    Ok(roots)
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
