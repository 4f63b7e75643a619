//! `packages.toml`: what an admin allows of packages, and the indexes that a home asks. Nothing in it grants anything to an agent.
//!
//! ```toml
//! format = 1
//! first_use = false                        # whether a publisher whom nobody vouches for is taken at first sight
//! cool_off = "3d"                          # how long an update that could do no more waits before it goes by itself
//!
//! [indexes.main]
//! at = "https://packages.example.org"      # or a directory
//! root = "ed25519:…"                       # the key that signed its first root
//! networks = ["10.1.0.0/16"]               # what it may lie in though it is not public
//! seconds = 60                             # how long one file may take, wherever the server leads within itself
//!
//! [registries."registry.example.org"]      # what is not usual of a registry of containers
//! networks = ["10.1.0.0/16"]
//! seconds = 60
//! plain = true                             # HTTP without TLS, inside alone
//! leads_to = ["https://auth.example.org"]  # other servers that it may lead to, for a token or a layer
//! secret = "registry"                      # the handle of what says who asks, in agentry.toml
//!
//! [cosign]
//! root = "trusted_root.json"               # the trusted root of a Sigstore, beside this file
//!
//! [publishers.acme]                        # whom its certificates must name: then no key is this publisher's
//! identity = "https://github.com/acme/bookkeeper/.github/workflows/release.yml@refs/tags/*"
//! issuer = "https://token.actions.githubusercontent.com"
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentry_config::reader::{Document, Table};
use agentry_config::{ConfigError, policies};
use agentry_drivers::web::address::Named;
use agentry_kernel::budget::words::milliseconds;
use agentry_kernel::labels;
use ipnet::IpNet;
use reqwest::Url;

use crate::cosign::{IS_BUILT_IN, Proof};
use crate::fault::Fault;
use crate::identity::Identity;
use crate::key::PublicKey;
use crate::limits::{COOL_OFF_DEFAULT_MS, INDEXES_MAX, REGISTRIES_MAX, WAIT_DEFAULT_S, WAIT_MAX_S};

mod cosign;
mod registry;

pub use self::cosign::PublisherLine;
pub use self::registry::RegistryLine;

/// The file's name in the home.
pub const PACKAGES_FILE: &str = "packages.toml";

/// The version of the file.
const FORMAT: u64 = 1;

const PACKAGES_KEYS: [&str; 7] = ["format", "first_use", "cool_off", "indexes", "registries", "cosign", "publishers"];

const INDEX_KEYS: [&str; 4] = ["at", "root", "networks", "seconds"];

/// What other programs call these.
const OTHERS: [(&[&str], &str); 4] = [
    (&["registry", "oci"], "[registries.\"HOST\"]"),
    (&["index", "sources", "repositories"], "[indexes.NAME]"),
    (&["keys", "trust"], "them with `agentry key trust PUBLISHER KEY`"),
    (&["sigstore", "keyless", "identities"], "[cosign] and [publishers.NAME]"),
];

/// What an admin wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagesConfig {
    /// Whether a publisher is taken at first sight.
    pub first_use: bool,
    /// How long an update waits that goes by itself.
    pub cool_off_ms: u64,
    /// In the order of their names.
    pub indexes: Vec<IndexLine>,
    /// Registries of which something is said.
    pub registries: Vec<RegistryLine>,
    /// The trusted root of the Sigstore whose certificates count.
    pub trusted_root: Option<PathBuf>,
    /// Publishers who sign under such certificates.
    pub publishers: Vec<PublisherLine>,
}

/// An index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexLine {
    /// What it is called here.
    pub name: String,
    /// Where it is.
    pub at: Place,
    /// The key that signed its first root.
    pub root: PublicKey,
}

/// Where an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory.
    Directory(PathBuf),
    /// A server of static files.
    Web {
        /// The directory there.
        base: Url,
        /// What may be dialled though it is not public.
        networks: Named,
        /// How long one file may take.
        patience: Duration,
    },
}

impl Default for PackagesConfig {
    fn default() -> Self {
        let (indexes, registries, trusted_root, publishers) = Default::default();
        Self { first_use: false, cool_off_ms: COOL_OFF_DEFAULT_MS, indexes, registries, trusted_root, publishers }
    }
}

impl PackagesConfig {
    /// Reads `packages.toml` in `home`; without one there is no index, and nobody is taken at first sight.
    ///
    /// # Errors
    /// If others may write it, or it cannot be read or understood; the error names the line.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let file = home.join(PACKAGES_FILE);
        match std::fs::symlink_metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Self::parse(&file.display().to_string(), &policies::text(&file)?),
        }
    }

    /// Reads the text of a file that errors name `file`.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        Document { file, text }.read(Self::read)
    }

    fn read(root: &Table<'_>) -> Result<Self, ConfigError> {
        root.only_in_our_words(&PACKAGES_KEYS, &OTHERS)?;
        root.needs_format(FORMAT)?;
        let cool_off_ms = match root.text("cool_off")? {
            None => COOL_OFF_DEFAULT_MS,
            Some(text) => milliseconds(text).ok_or_else(|| {
                root.mistake_in("cool_off", "this is no length of time", "write a number and s, m, h or d: \"3d\"")
            })?,
        };
        let tables = root.tables("indexes")?;
        if tables.len() > INDEXES_MAX {
            return Err(root.mistake_in(
                "indexes",
                format!("there are more than {INDEXES_MAX} indexes"),
                "remove some",
            ));
        }
        let indexes = tables.into_iter().map(|(name, table)| index(name, &table));
        let mut indexes = indexes.collect::<Result<Vec<_>, _>>()?;
        indexes.sort_by(|a, b| a.name.cmp(&b.name));
        let tables = root.tables("registries")?;
        if tables.len() > REGISTRIES_MAX {
            let message = format!("there are more than {REGISTRIES_MAX} registries");
            return Err(root.mistake_in("registries", message, "remove some"));
        }
        let registries = tables.into_iter().map(|(host, table)| registry::registry(host, &table));
        let registries = registries.collect::<Result<Vec<_>, _>>()?;
        let mut hosts = BTreeSet::new();
        if let Some(twice) = registries.iter().find(|line| !hosts.insert(line.host.to_ascii_lowercase())) {
            let message = format!("`{}` is named twice: a host is the same in capital letters", twice.host);
            return Err(root.mistake_in("registries", message, "put all that is said of it under one name"));
        }
        let (trusted_root, publishers) = cosign::read(root, IS_BUILT_IN)?;
        let first_use = root.flag("first_use")?.unwrap_or(false);
        Ok(Self { first_use, cool_off_ms, indexes, registries, trusted_root, publishers })
    }

    /// Whom certificates must name for this publisher, if an admin pins one.
    pub fn identity(&self, publisher: &str) -> Option<&Identity> {
        self.publishers.iter().find(|line| line.name == publisher).map(|line| &line.identity)
    }

    /// Whether keys may speak for this publisher, whoever vouches for them.
    ///
    /// # Errors
    /// If an admin pins an identity.
    pub fn takes_keys(&self, publisher: &str) -> Result<(), Fault> {
        let Some(identity) = self.identity(publisher) else { return Ok(()) };
        Err(Fault::denied(
            format!("packages.toml pins `{publisher}` by an identity, {identity}, and no key"),
            format!(
                "get the .{} that belongs to the file; or take [publishers.{publisher}] out of packages.toml",
                crate::cosign::BUNDLE
            ),
        ))
    }

    /// Who signed a file by this bundle.
    ///
    /// # Errors
    /// If no publisher is pinned by an identity, or the bundle does not prove it.
    pub fn proof(&self, bundle: &[u8], file: &[u8]) -> Result<Proof, Fault> {
        match &self.trusted_root {
            Some(root) if !self.publishers.is_empty() => Proof::open(root, bundle, file),
            _ => Err(Fault::denied(
                "a bundle of cosign lies beside it, and packages.toml pins nobody by an identity",
                "name a trusted root and who may sign: [cosign] and [publishers.NAME] in packages.toml",
            )),
        }
    }

    /// What is said of the registry at this host, in capital letters or not.
    pub fn registry(&self, host: &str) -> RegistryLine {
        let said = self.registries.iter().find(|line| line.host.eq_ignore_ascii_case(host)).cloned();
        said.unwrap_or_else(|| RegistryLine::unnamed(host))
    }
}

fn index(name: &str, table: &Table<'_>) -> Result<IndexLine, ConfigError> {
    table.only(&INDEX_KEYS)?;
    labels::check(name).map_err(|flaw| {
        table.mistake(format!("`{name}` cannot be the name of an index: it {flaw}"), "for example [indexes.main]")
    })?;
    let root = table.needs_text("root")?;
    let root = root.parse().map_err(|_| {
        let hint = "the key that `agentry index init` showed: \"ed25519:\" and 64 digits";
        table.mistake_in("root", "this is no key", hint)
    })?;
    let seconds = table.number("seconds", 1..WAIT_MAX_S + 1)?.unwrap_or(WAIT_DEFAULT_S);
    let networks = networks(table)?;
    let at = table.needs_text("at")?;
    let at = match Url::parse(at) {
        Ok(base) if matches!(base.scheme(), "http" | "https") && base.host().is_some() => {
            if !base.username().is_empty() || base.password().is_some() {
                let hint = "leave out what stands before the `@`: an index is public, and is told nobody's secret";
                return Err(table.mistake_in("at", "there is a name or a password in this address", hint));
            }
            // What is joined to it lies below it.
            let base = if base.path().ends_with('/') { Some(base) } else { Url::parse(&format!("{at}/")).ok() };
            let hint = "an address without a question mark behind it: \"https://packages.example.org\"";
            let base = base.filter(|base| base.query().is_none() && base.fragment().is_none());
            let base = base.ok_or_else(|| table.mistake_in("at", "nothing can lie below this address", hint))?;
            Place::Web { base, networks: Named::new(networks), patience: Duration::from_secs(seconds) }
        }
        Ok(_) => {
            let hint = "an address of http or https, or a directory";
            return Err(table.mistake_in("at", "an index is not asked on this way", hint));
        }
        Err(_) => Place::Directory(table.document.beside(at)),
    };
    Ok(IndexLine { name: name.to_owned(), at, root })
}

fn networks(table: &Table<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let parsed = table.texts("networks")?.into_iter().map(|text| {
        text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address))).map_err(
            |_| {
                table.mistake_in(
                    "networks",
                    format!("`{text}` is no network"),
                    "for example [\"10.1.0.0/16\", \"127.0.0.1\"]",
                )
            },
        )
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PackagesConfig, String> {
        PackagesConfig::parse("packages.toml", text).map_err(|why| why.to_string())
    }

    #[test]
    fn indexes_are_directories_or_servers_and_each_has_its_root() {
        let key = format!("ed25519:{}", "0a".repeat(32));
        let text = format!(
            "format = 1\nfirst_use = true\ncool_off = \"2h\"\n[indexes.here]\nat = \"../index\"\nroot = \"{key}\"\n\
             [indexes.web]\nat = \"https://a.example/x\"\nroot = \"{key}\"\nnetworks = [\"127.0.0.1\"]\nseconds = 5\n"
        );
        let config = parse(&text).unwrap();
        assert!(config.first_use && config.cool_off_ms == 7_200_000);
        assert!(matches!(&config.indexes[0].at, Place::Directory(path) if path.ends_with("../index")));
        let Place::Web { base, patience, .. } = &config.indexes[1].at else { panic!("a server") };
        assert_eq!((base.as_str(), patience.as_secs()), ("https://a.example/x/", 5));
    }

    #[test]
    fn the_host_of_a_registry_is_the_same_in_capital_letters() {
        let config = parse("format = 1\n[registries.\"Registry.example:5000\"]\nseconds = 5\n").unwrap();
        assert_eq!(config.registry("registry.EXAMPLE:5000").patience.as_secs(), 5);
        assert_ne!(config.registry("registry.example").patience.as_secs(), 5);
    }

    #[test]
    fn a_mistake_has_its_line_and_a_remedy() {
        let key = format!("root = \"ed25519:{}\"", "0a".repeat(32));
        let index = |lines: &str| parse(&format!("format = 1\n[indexes.main]\n{lines}"));
        let publisher = |name: &str, lines: &str| {
            parse(&format!("format = 1\n[cosign]\nroot = \"a.json\"\n[publishers.{name}]\n{lines}\n"))
        };
        for (case, what) in [
            (parse(""), "the file has another format"),
            (parse("format = 1\nfirstuse = true"), "did you mean `first_use`?"),
            (parse("format = 1\nsources = 1"), "[indexes.NAME]"),
            (parse("format = 1\nkeyless = 1"), "[cosign] and [publishers.NAME]"),
            (parse("format = 1\n[cosign]\n"), "root"),
            (parse("format = 1\n[cosign]\nroot = \"a\"\nkey = \"b\"\n"), "unknown key `key`"),
            (parse("format = 1\n[publishers.acme]\nidentity = \"a\"\n"), "without a trusted root"),
            (publisher("acme", "key = \"ed25519:00\""), "agentry key trust acme"),
            (publisher("acme", "issuer = \"https://a.example\""), "has no `identity`"),
            (publisher("acme", "identity = \"me@a.example\""), "has no `issuer`"),
            (publisher("acme", "identity = \"me@*\"\nissuer = \"https://a.example\""), "could be anybody"),
            (publisher("acme", "identity = \"me@a.example\"\nissuer = \"https://a.example\"\nroot = 1"), "root"),
            (publisher("Acme", ""), "cannot be a publisher"),
            (parse("format = 1\nregistry = 1"), "[registries.\"HOST\"]"),
            (parse("format = 1\n[registries.\"a/b\"]\n"), "is no host"),
            (parse("format = 1\n[registries.\"a.example\"]\nplain = true\n"), "is for a registry inside"),
            (parse("format = 1\n[registries.\"a.example\"]\nleads_to = [\"http://b.example\"]\n"), "is no origin"),
            (parse("format = 1\n[registries.\"a.example\"]\nleads_to = [\"https://b.example/x\"]\n"), "is no origin"),
            (parse("format = 1\n[registries.\"a.example\"]\nleads_to = [\"https://me@b.example\"]\n"), "is no origin"),
            (parse("format = 1\n[registries.\"a.example\"]\nleads_to = [\"https://:x@b.example\"]\n"), "is no origin"),
            (parse("format = 1\n[registries.\"a.example\"]\nleads_to = [\"https://b.example#x\"]\n"), "is no origin"),
            (parse("format = 1\n[registries.\"a.example\"]\n[registries.\"A.example\"]\n"), "is named twice"),
            (parse("format = 1\n[registries.\"a.example\"]\ntoken = 1\n"), "token"),
            (parse("format = 1\ncool_off = \"soon\""), "no length of time"),
            (parse("format = 1\nfirst_use = 1"), "first_use"),
            (parse("format = 1\n[indexes.Main]\n"), "cannot be the name of an index"),
            (index("at = \"x\""), "root"),
            (index("at = \"x\"\nroot = \"abc\""), "this is no key"),
            (index(&format!("at = \"ftp://a.example\"\n{key}")), "not asked on this way"),
            (index(&format!("at = \"https://a.example/?q\"\n{key}")), "nothing can lie below"),
            (index(&format!("at = \"http://me:secret@a.example\"\n{key}")), "a name or a password"),
            (index(&format!("at = \"https://me@a.example/x/\"\n{key}")), "a name or a password"),
            (index(&format!("at = \"x\"\n{key}\nseconds = 0")), "seconds"),
            (index(&format!("at = \"x\"\n{key}\nnetworks = [\"here\"]")), "is no network"),
        ] {
            let told = case.unwrap_err();
            assert!(told.contains(what) && told.contains("\nhint: "), "{what}: {told}");
        }
    }

    #[test]
    fn a_publisher_who_is_pinned_by_an_identity_has_no_key_and_a_program_that_looks_at_none_says_so() {
        let text = "format = 1\n[cosign]\nroot = \"root.json\"\n[publishers.acme]\nidentity = \"me@a.example\"\n\
                    issuer = \"https://accounts.example\"\n";
        let config = PackagesConfig::parse("home/packages.toml", text).unwrap();
        assert_eq!(config.trusted_root.as_deref(), Some(Path::new("home/root.json")));
        assert!(config.identity("acme").unwrap().is("me@a.example", "https://accounts.example"));
        assert!(
            config.takes_keys("acme").unwrap_err().message.contains("and no key") && config.takes_keys("blue").is_ok()
        );
        assert!(PackagesConfig::default().proof(b"{}", b"").unwrap_err().message.contains("pins nobody"));
        let without = |text| Document { file: "packages.toml", text }.read(|root| cosign::read(root, false)).err();
        let told = without(text).unwrap().to_string();
        assert!(told.contains("is built without keyless signatures") && told.contains("packages.toml:2:"), "{told}");
        assert!(without("format = 1\n").is_none());
    }
}
