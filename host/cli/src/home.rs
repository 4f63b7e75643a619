//! Where Agentry keeps its things: agents, policies, configuration, journals.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_journal::history::History;
use agentry_kernel::text::nearest;
use agentry_llm::Entry;
use agentry_packages::keyring::Keyring;
use agentry_packages::lock::{Lock, Release};
use agentry_packages::set::verified;
use agentry_runtime::config::{AgentLine, AgentsConfig};
use agentry_store::StoreError;
use anyhow::{Result, bail};
use etcetera::BaseStrategy;
use rustix::fs::Access;

use crate::screen::{given, text};

/// Files that are looked at for the agents of a home.
const AGENTS_MAX: usize = 10_000;

/// The options of every command that opens the home.
#[derive(clap::Args)]
pub struct HomeArgs {
    /// Directory of agents, policies, configuration and journals [default: $AGENTRY_HOME, or the user's data directory]
    #[arg(long, value_name = "DIR", global = false)]
    home: Option<PathBuf>,
}

/// A directory as a person types it where no shell reads it first: `~` is their own.
pub fn typed(said: &str) -> PathBuf {
    let behind = said.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match behind.zip(etcetera::home_dir().ok()) {
        Some((rest, own)) => own.join(rest.trim_start_matches('/')),
        None => PathBuf::from(said),
    }
}

/// Whether this user may make files in a directory; what the system says if not.
pub fn can_write(directory: &Path) -> std::io::Result<()> {
    Ok(rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// That something can be read there; of a name that is nearly one of a file beside it, or of the directory that a component lies in, which was meant.
pub fn is_there(file: &Path) -> Result<()> {
    let shown = text::line(&file.display().to_string());
    if file.is_dir() {
        let inside = components(file);
        let name = file.canonicalize().ok().and_then(|whole| Some(whole.file_name()?.to_str()?.to_owned()));
        let same = inside
            .iter()
            .find(|there| Some(there.as_str()) == name.as_ref().map(|name| format!("{name}.wasm")).as_deref());
        let Some(near) = same.or(inside.first()) else { return Ok(()) };
        bail!("{shown} is a directory\nhint: did you mean {}?", text::word(file.join(near).display()));
    }
    let Some(name) = file.file_name().and_then(|name| name.to_str()).filter(|_| !file.exists()) else { return Ok(()) };
    let beside = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let known = components(beside);
    match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => {
            bail!(
                "cannot read {shown}: there is no such file\nhint: did you mean {}?",
                text::word(file.with_file_name(near).display())
            )
        }
        None => Ok(()),
    }
}

/// The names of the components in a directory, as far as anybody looks.
fn components(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten().take(AGENTS_MAX);
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".wasm")).collect();
    names.sort();
    names
}

/// A home that need not exist yet.
#[derive(Clone)]
pub struct Home(PathBuf);

impl HomeArgs {
    /// Whether `--home` names one.
    pub const fn is_named(&self) -> bool {
        self.home.is_some()
    }

    /// As if `--home` had named this.
    pub fn at(home: Option<PathBuf>) -> Self {
        Self { home }
    }

    /// The home that the arguments, the environment or the platform name, in this order.
    pub fn resolve(&self) -> Result<Home> {
        if let Some(home) = &self.home {
            given::home(home);
            return Ok(Home(home.clone()));
        }
        match env::var_os("AGENTRY_HOME") {
            Some(home) if !home.is_empty() => Ok(Home(home.into())),
            _ => match etcetera::choose_base_strategy() {
                Ok(dirs) => Ok(Home(dirs.data_dir().join("agentry"))),
                Err(_) => bail!("cannot tell where your data directory is\nhint: name one with --home DIR"),
            },
        }
    }
}

impl HomeArgs {
    /// The same, for commands that only look: a home that somebody named and that is not there is a mistake, not an empty past.
    pub fn existing(&self) -> Result<Home> {
        let home = self.resolve()?;
        let named = match (&self.home, env::var_os("AGENTRY_HOME")) {
            (Some(_), _) => "--home",
            (None, Some(named)) if !named.is_empty() => "AGENTRY_HOME",
            (None, _) => return Ok(home),
        };
        let shown = text::line(&home.0.display().to_string());
        match std::fs::metadata(&home.0) {
            Ok(is) if !is.is_dir() => {
                bail!("`{shown}` is no directory, and {named} names it\nhint: name a home, which is one")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!(
                    "there is no directory `{shown}`, and {named} names it\nhint: correct it, or make a home there: agentry setup --home {}",
                    text::word(home.0.display())
                )
            }
            // What else is wrong with it, whoever reads it says.
            Ok(_) | Err(_) => Ok(home),
        }
    }
}

impl Home {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What happened here; none if nothing ever ran.
    pub fn history(&self) -> Result<Option<History>, StoreError> {
        agentry_serve::home::history(&self.0)
    }

    /// The models that this program brings, beside those of the configuration.
    pub fn models(&self) -> Vec<Arc<Entry>> {
        #[cfg(feature = "embedded")]
        return vec![Arc::new(agentry_llm_embedded::entry(&self.0))];
        #[cfg(not(feature = "embedded"))]
        Vec::new()
    }

    /// The directory of policies.
    pub fn policies(&self) -> PathBuf {
        self.0.join("policies")
    }

    /// The names of the components that lie in this home.
    pub fn agents(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.join("agents")).into_iter().flatten().flatten();
        let name = |file: std::ffi::OsString| Some(file.to_str()?.strip_suffix(".wasm")?.to_owned());
        files.take(AGENTS_MAX).filter_map(|entry| name(entry.file_name())).collect()
    }

    /// What to do about an agent of agents.toml whose component is not there.
    pub fn without_component(&self, line: &AgentLine) -> String {
        let there = self.agents();
        let near = nearest(&line.name, there.iter().map(String::as_str));
        let put = format!("put its component at {}", line.component.display());
        match near {
            Some(near) => format!("did you mean [agents.{near}]? Else {put}"),
            None => format!("{put}, say `component = \"PATH\"` there, or take its lines out"),
        }
    }

    /// The component of a release that is installed, unless its key is revoked or the file is another one; what starts it by itself, and what
    /// others call by its name, a host looks up by the same lock.
    fn installed(&self, agent: &str, release: &Release) -> Result<PathBuf> {
        let vouched = release.vouched.as_ref();
        let revoked = vouched.map_or(Ok(()), |vouched| Keyring::load(&self.0)?.still_takes(vouched));
        revoked.map_err(|fault| fault.about(&format!("`{}` does not run", text::line(agent))))?;
        Ok(verified(&self.0, release)?)
    }

    /// The component that `agent` means: a path if it has a `/` or ends in `.wasm`; else the one of agents.toml, or of the home's agents.
    pub fn component(&self, agent: &str) -> Result<PathBuf> {
        let named = !agent.contains('/') && !agent.ends_with(".wasm");
        if !named {
            return Ok(PathBuf::from(agent));
        }
        if let Some(installed) = Lock::load(&self.0)?.agents.get(agent) {
            return self.installed(agent, &installed.now);
        }
        let known = AgentsConfig::load(&self.0)?;
        if let Some(line) = known.get(agent) {
            if !line.component.exists() {
                let (name, hint) = (text::line(agent), self.without_component(line));
                bail!("`{name}` of agents.toml has no component\nhint: {hint}");
            }
            return Ok(line.component.clone());
        }
        let path = self.0.join("agents").join(format!("{agent}.wasm"));
        if path.exists() {
            return Ok(path);
        }
        let mut names = self.agents();
        names.extend(known.agents.into_iter().map(|line| line.name));
        // Whoever installed `acme:clerk` calls it so.
        if let Some((_, name)) = agent.split_once(':').filter(|(_, name)| names.iter().any(|known| known == name)) {
            bail!("there is no agent `{}` here\nhint: did you mean `{}`?", text::line(agent), text::line(name));
        }
        let agent = text::line(agent);
        match nearest(&agent, names.iter().map(String::as_str)) {
            Some(near) => bail!("there is no agent `{agent}` here\nhint: did you mean `{near}`?"),
            // Nobody calls an agent so: it is a directory, or a file of another kind.
            None if agent.contains('.') || Path::new(&agent).exists() => bail!(
                "`{agent}` is no agent's name, and no component\nhint: a component's file ends in `.wasm`; `agentry agents` lists those that have a name"
            ),
            None => bail!(
                "there is no agent `{agent}` here\nhint: install it if it is in an index: agentry search {agent}; or put its component at {}, or run a file: agentry run ./{agent}.wasm",
                path.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_the_home_and_a_path_is_taken_as_it_is() {
        let home = Home(PathBuf::from("/nowhere/to/be/found"));
        assert_eq!(home.component("./a.wasm").expect("a path"), PathBuf::from("./a.wasm"));
        assert_eq!(home.component("a.wasm").expect("a file"), PathBuf::from("a.wasm"));
        let error = home.component("a").expect_err("nothing there").to_string();
        assert!(error.starts_with("there is no agent `a` here\nhint: "), "{error}");
    }
}
