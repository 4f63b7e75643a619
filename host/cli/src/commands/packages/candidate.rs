//! A package that could be installed: fetched, held against its digest and its signature, trusted or not, no older than what was here,
//! and taken apart by the preparer. Nothing of it is written and nothing of it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_drivers::secrets::Secrets;
use agentry_drivers::web::{System, Web};
use agentry_engine::package::{self, Package};
use agentry_kernel::digest::Digest;
use agentry_kernel::publisher::PublisherKey;
use agentry_packages::Fault;
use agentry_packages::config::PackagesConfig;
use agentry_packages::file;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::keyring::{How, Keyring};
use agentry_packages::limits::{FILE_MAX_BYTES, SIGNATURE_MAX_BYTES};
use agentry_packages::lock::Lock;
use agentry_packages::name::oci::OciName;
use agentry_packages::name::{Named, Reference, Url, digest, imitated};
use agentry_packages::oci::{Pulled, Registry};
use agentry_packages::source::Source;
use agentry_packages::statement::Statement;
use agentry_runtime::config::Config;
use anyhow::{Context, Result};

use super::{Indexes, unnamed};
use crate::home::Home;
use crate::screen::text;

/// A package that could be installed.
#[derive(Clone)]
pub struct Candidate {
    /// What it is.
    pub package: Package,
    /// Its file.
    pub bytes: Vec<u8>,
    /// The envelope that was beside it, if its signature counts.
    pub envelope: Option<Vec<u8>>,
    /// Who signed it and by whose word that key is the publisher's; none if a person named it by its digest.
    pub signed: Option<(Statement, How)>,
    /// The index that it is from.
    pub index: Option<String>,
    /// Where it is on a server, or in a registry of containers by digest, if it is from one.
    pub from: Option<String>,
    /// A name that this one could be taken for: whose, and which.
    pub imitates: Option<String>,
}

/// What a person gave to say which package.
#[derive(clap::Args)]
pub struct Wanted {
    /// publisher:name, perhaps with @version, or sha256:HEX, out of an index; a file; https://…/NAME.wasm; or oci://HOST/REPOSITORY:TAG
    #[arg(value_name = "PACKAGE|FILE.wasm|https://…|oci://…")]
    pub package: String,
    /// The SHA-256 that the file must have: then it needs no signature
    #[arg(long, value_name = "sha256:HEX")]
    pub digest: Option<String>,
    /// The index to look in, by its name in packages.toml
    #[arg(long, value_name = "NAME")]
    pub index: Option<String>,
}

impl Wanted {
    /// This package, wherever it is listed.
    pub fn package(package: String) -> Self {
        Self { package, digest: None, index: None }
    }
}

/// Where it comes from, and what it must be.
pub enum Way<'a> {
    /// As a person said.
    Wanted(&'a Wanted),
    /// The newest one of this name that an index lists, behind this sequence number; none if there is none.
    Newer(&'a Named, u64),
}

impl Candidate {
    /// Fetches it and holds it against all that this home knows; none if nothing newer is listed.
    pub async fn of(home: &Home, way: Way<'_>, lock: &Lock, keyring: &Keyring) -> Result<Option<Self>> {
        let (which, index) = match way {
            Way::Wanted(wanted) => {
                let wants = wanted.digest.as_deref().map(digest).transpose()?;
                let reference = match Reference::parse(&wanted.package) {
                    Ok(reference) => reference,
                    Err(fault) => return Err(unnamed::told(home, wanted, lock, fault).await.into()),
                };
                match reference {
                    Reference::File(path) => {
                        let given = Given::file(&path)?;
                        return of_given(home, given, wants, lock, keyring).map(Some);
                    }
                    Reference::Web(url) => {
                        let given = Given::served(home, &url).await?;
                        return of_given(home, given, wants, lock, keyring).map(Some);
                    }
                    Reference::Oci(name) => {
                        let pulled = registry(home, &name)?.pull().await?;
                        return of_given(home, Given::pulled(pulled), wants, lock, keyring).map(Some);
                    }
                    Reference::Named(_) | Reference::Digest(_) if wants.is_some() => {
                        let hint = "a package of an index is named by its version, publisher:name@1.2.3, or by sha256:HEX alone";
                        return Err(Fault::usage("--digest is for a file", hint).into());
                    }
                    Reference::Named(named) => (Which::Named(named, 0), wanted.index.as_deref()),
                    Reference::Digest(digest) => (Which::Digest(digest), wanted.index.as_deref()),
                }
            }
            Way::Newer(named, seq) => (Which::Named(named.clone(), seq), None),
        };
        let indexes = Indexes::of(home, index)?;
        let read = indexes.read(home).await?;
        let Some((index, listed)) = which.find(&read).await? else {
            return match which {
                Which::Named(_, 1..) => Ok(None),
                Which::Named(named, 0) => Err(nowhere(&read, &named).await.into()),
                Which::Digest(digest) => Err(no_such_file(&read, digest).await.into()),
            };
        };
        let named = Named::parse(&listed.listing.name)?;
        let (component, envelope) = index.fetch(&listed).await?;
        let bytes = component.into_bytes();
        let statement = Statement::open(&envelope)?;
        if statement.vouched.holders != listed.holders {
            let message =
                format!("{} is signed by another key than the index lists for `{}`", named.name(), named.publisher);
            return Err(Fault::denied(message, "tell whoever runs the index, and the publisher").into());
        }
        let how = keyring.trusts(&named.publisher, &statement.vouched, Some(How::Index))?;
        let package = looked_at(&bytes, Some(&statement), lock, Some(&listed))?;
        let imitates = imitates(&package, lock, keyring);
        let index = Some(listed.index.clone());
        let (envelope, signed) = (Some(envelope), Some((statement, how)));
        Ok(Some(Self { package, bytes, envelope, signed, index, from: None, imitates }))
    }

    /// The name that it runs by.
    pub fn agent(&self) -> &str {
        self.package.manifest.agent()
    }

    /// Who signed it, as grants name them, if somebody did.
    pub fn signer(&self) -> Option<PublisherKey> {
        self.signed.as_ref().map(|(said, _)| said.vouched.holders.name())
    }

    /// `publisher:name version`
    pub fn story(&self) -> String {
        format!("{} {}", text::line(&self.package.manifest.name), text::line(&self.package.manifest.version))
    }
}

/// A component that came without an index, and the signature beside it.
struct Given {
    bytes: Vec<u8>,
    envelope: Option<Vec<u8>>,
    /// Where it is, harmless.
    shown: String,
    /// Where its signature should be, harmless.
    signature: String,
    /// If it is not on this machine.
    from: Option<String>,
}

impl Given {
    fn file(path: &Path) -> Result<Self> {
        let beside = PathBuf::from(format!("{}.sig", path.display()));
        Ok(Self {
            bytes: package::read(path)?,
            envelope: file::read(&beside, SIGNATURE_MAX_BYTES)?,
            shown: text::line(&path.display().to_string()),
            signature: text::line(&beside.display().to_string()),
            from: None,
        })
    }

    async fn served(home: &Home, url: &Url) -> Result<Self> {
        let web = Arc::new(Web::new(Arc::new(System::new(Config::load(home.path())?.hosts))));
        let (source, name) = Source::beside(url, &PackagesConfig::load(home.path())?, web)?;
        let shown = text::line(url.as_str());
        let bytes = source.get(&name, FILE_MAX_BYTES).await?.ok_or_else(|| {
            Fault::unavailable(format!("{shown} is not there"), "look at the address, or ask whoever offers it")
        })?;
        let envelope = source.get(&format!("{name}.sig"), SIGNATURE_MAX_BYTES).await?;
        Ok(Self { bytes, envelope, signature: format!("{shown}.sig"), from: Some(url.to_string()), shown })
    }

    fn pulled(pulled: Pulled) -> Self {
        let from = pulled.from.to_string();
        let (shown, signature) = (from.clone(), "layer with a signature".to_owned());
        Self { bytes: pulled.component, envelope: pulled.envelope, shown, signature, from: Some(from) }
    }
}

/// The registry of a package, as this home may ask it.
pub fn registry(home: &Home, name: &OciName) -> Result<Registry> {
    let config = Config::load(home.path())?;
    let line = PackagesConfig::load(home.path())?.registry(&name.host);
    let web = Arc::new(Web::new(Arc::new(System::new(config.hosts))));
    Ok(Registry::new(name, line, web, Secrets::open(&config.secrets))?)
}

/// It, if this home takes it.
fn of_given(home: &Home, given: Given, wants: Option<Digest>, lock: &Lock, keyring: &Keyring) -> Result<Candidate> {
    let Given { bytes, envelope, shown, signature, from } = given;
    let is = package::digest(&bytes);
    if wants.is_some_and(|wants| wants != is) {
        let message = format!("{shown} is not the file that was named: its digest is sha256:{is}");
        return Err(Fault::denied(message, "get it again; whoever named the digest meant another file").into());
    }
    let statement = match (&envelope, wants) {
        (Some(envelope), None) => Some(Statement::open(envelope)?),
        // Whoever named the digest needs no signature: a good one counts, and a revoked key still stops.
        (Some(envelope), Some(_)) => Statement::open(envelope).ok().filter(|said| said.digest == is),
        (None, Some(_)) => None,
        (None, None) => {
            let message = format!("{shown} is not signed: there is no {signature}");
            let hint =
                "get the .sig that belongs to it; or hear its digest from the author and name it: --digest sha256:HEX";
            return Err(Fault::denied(message, hint).into());
        }
    };
    let publisher = |said: &Statement| said.name.split(':').next().unwrap_or_default().to_owned();
    let first_use = Indexes::of(home, None)?.config.first_use;
    let signed = match statement {
        None => None,
        Some(said) => {
            is_of(&said, is)?;
            keyring.still_takes(&said.vouched)?;
            let how = keyring.trusts(&publisher(&said), &said.vouched, first_use.then_some(How::FirstUse));
            match how {
                Ok(how) => Some((said, how)),
                Err(_) if wants.is_some() => None,
                Err(fault) => return Err(fault.into()),
            }
        }
    };
    let package = looked_at(&bytes, signed.as_ref().map(|(said, _)| said), lock, None)?;
    let imitates = imitates(&package, lock, keyring);
    let envelope = envelope.filter(|_| signed.is_some());
    Ok(Candidate { package, bytes, envelope, signed, index: None, from, imitates })
}

/// Whether a signature is of this file: of another one it says nothing, whoever signed it.
fn is_of(said: &Statement, is: Digest) -> Result<(), Fault> {
    if said.digest == is {
        return Ok(());
    }
    let hint = "get file and signature again, both of one version, from where the publisher offers them";
    Err(Fault::denied("the signature is for another file", hint))
}

/// Digest, then sequence number, then the structural gate in a process of its own; and each says the same as the others.
fn looked_at(bytes: &[u8], said: Option<&Statement>, lock: &Lock, listed: Option<&Listed>) -> Result<Package> {
    let is = package::digest(bytes);
    if let Some(said) = said {
        is_of(said, is)?;
        lock.follows(&said.name, said.seq, is)?;
    }
    let package = crate::package::of(bytes).context("this package is refused")?;
    said.map_or(Ok(()), |said| said.vouches_for(&package))?;
    let manifest = &package.manifest;
    lock.follows(&manifest.name, manifest.seq, is)?;
    let same = |listed: &Listed| {
        let listing = &listed.listing;
        listing.name == manifest.name && listing.version == manifest.version && listing.seq == manifest.seq
    };
    if listed.is_some_and(|listed| !same(listed)) {
        let hint = "tell whoever runs the index, and the publisher";
        return Err(Fault::denied("the index lists this file as something else than it is", hint).into());
    }
    Ok(package)
}

/// Which file of an index.
enum Which {
    /// The newest one of this name behind this sequence number.
    Named(Named, u64),
    /// The one of this digest.
    Digest(Digest),
}

impl Which {
    /// It, among versions that are not yanked; of two indexes that list the same, the first one's.
    async fn find<'i>(&self, read: &'i [Index<'i>]) -> Result<Option<(&'i Index<'i>, Listed)>> {
        let mut best: Option<(&Index<'_>, Listed)> = None;
        for index in read {
            let listed = match self {
                Self::Named(named, _) => index.of(&named.publisher).await?,
                Self::Digest(digest) => of_digest(index, *digest).await?,
            };
            for one in listed.into_iter().filter(|one| one.listing.yanked.is_none() && self.is(one)) {
                if best.as_ref().is_none_or(|(_, best)| best.listing.seq < one.listing.seq) {
                    best = Some((index, one));
                }
            }
        }
        Ok(best)
    }

    fn is(&self, one: &Listed) -> bool {
        match self {
            Self::Named(named, behind) => {
                let means = semver(&one.listing.version).is_some_and(|version| named.means(&version));
                one.listing.name == named.name() && means && one.listing.seq > *behind
            }
            Self::Digest(digest) => one.digest == *digest,
        }
    }
}

/// All versions whose file has this digest; nothing else of the index's lists is kept.
async fn of_digest(index: &Index<'_>, digest: Digest) -> Result<Vec<Listed>, Fault> {
    index.picked(move |entry| (entry.digest()? == digest).then(|| entry.listed())?).await
}

/// Why no file of this digest is to be had.
async fn no_such_file(read: &[Index<'_>], digest: Digest) -> Fault {
    for index in read {
        for one in of_digest(index, digest).await.unwrap_or_default() {
            if let Some(because) = &one.listing.yanked {
                return taken_back(&format!("{}@{}", one.listing.name, one.listing.version), because);
            }
        }
    }
    let hint = "`agentry search --json` shows the digests of what is listed";
    Fault::usage("no index here lists a file of this digest", hint)
}

/// What was listed and is not to be installed any more.
fn taken_back(shown: &str, because: &str) -> Fault {
    let message = format!("{} was taken back by its publisher: {}", text::line(shown), text::cut(because, 200));
    let agent = shown.split_once(':').map_or(shown, |(_, agent)| agent);
    let word = text::line(agent.split('@').next().unwrap_or(agent));
    Fault::denied(message, format!("`agentry search {word}` lists what there is"))
}

/// Why nothing of this name is to be had.
async fn nowhere(read: &[Index<'_>], named: &Named) -> Fault {
    let shown = named.name();
    let (mut others, mut versions, mut yanked) = (Vec::new(), Vec::new(), None);
    for index in read {
        for one in index.of(&named.publisher).await.unwrap_or_default() {
            match one.listing.yanked {
                because if one.listing.name != shown => drop(because),
                Some(because) => yanked = Some(because),
                None => versions.push((one.listing.seq, one.listing.version)),
            }
            others.push(one.listing.name);
        }
    }
    if let Some((_, newest)) = versions.iter().max() {
        let hint = format!("the newest one listed is {shown}@{}", text::cut(newest, 40));
        return Fault::usage(format!("no index here lists {shown} in such a version"), hint);
    }
    if let Some(because) = yanked {
        return taken_back(&shown, &because);
    }
    let near = text::meant(&shown, others.iter().map(String::as_str), "`agentry search WORD` lists what there is");
    Fault::usage(format!("no index here lists {shown}"), near)
}

/// All versions that the indexes of a home list, of every publisher.
pub async fn listed(read: &[Index<'_>]) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for index in read {
        all.extend(index.all().await?);
    }
    Ok(all)
}

/// A version, as `semver` has it.
fn semver(version: &str) -> Option<agentry_packages::name::Version> {
    version.parse().ok()
}

/// Whose name this one could be taken for.
fn imitates(package: &Package, lock: &Lock, keyring: &Keyring) -> Option<String> {
    let manifest = &package.manifest;
    let publisher = manifest.name.split(':').next().unwrap_or_default();
    let known = keyring.publishers.contains_key(publisher);
    let of_publisher = keyring.imitated(publisher).filter(|_| !known).map(|other| format!("the publisher `{other}`"));
    let of_agent = imitated(manifest.agent(), lock.agents.keys().map(String::as_str));
    of_publisher.or_else(|| of_agent.map(|other| format!("the agent `{other}`, which is installed")))
}
