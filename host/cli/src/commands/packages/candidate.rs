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
use agentry_packages::cosign::{BUNDLE, Proof};
use agentry_packages::file;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::keyring::{How, Keyring};
use agentry_packages::limits::{BUNDLE_MAX_BYTES, FILE_MAX_BYTES, SIGNATURE_MAX_BYTES};
use agentry_packages::lock::{Lock, Release};
use agentry_packages::name::oci::OciName;
use agentry_packages::name::{self, Named, Reference, Url, digest, imitated};
use agentry_packages::oci::{Pulled, Registry};
use agentry_packages::party::Voucher;
use agentry_packages::source::Offered;
use agentry_packages::statement::Statement;
use agentry_runtime::config::Config;
use anyhow::{Context, Result};

use super::standing::{Standing, newest_taken_back, no_such_file, nowhere};
use super::which::Which;
use super::{Indexes, left_out, unnamed};
use crate::home::Home;
use crate::screen::text;

/// A package that could be installed.
#[derive(Clone)]
pub struct Candidate {
    /// What it is.
    pub package: Package,
    /// Its file.
    pub bytes: Vec<u8>,
    /// The envelope or the bundle that was beside it, if its signature counts.
    pub envelope: Option<Vec<u8>>,
    /// Who signed it and by whose word that is the publisher; none if a person named it by its digest.
    pub signed: Option<(Voucher, How)>,
    /// The index that it is from.
    pub index: Option<String>,
    /// Where it is on a server, or in a registry of containers by digest, if it is from one.
    pub from: Option<String>,
    /// A name that this one could be taken for: whose, and which.
    pub imitates: Option<String>,
    /// Why a person may go back to it, though a newer one was here; none if it is no older than that.
    pub older: Option<String>,
}

/// What a person gave to say which package.
#[derive(Clone, clap::Args)]
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
    /// Whether somebody only looks: then an index that is not to be had hides nothing that another one lists.
    #[arg(skip)]
    pub is_looked_at: bool,
}

impl Wanted {
    /// This package, wherever it is listed.
    pub fn package(package: String) -> Self {
        Self { package, digest: None, index: None, is_looked_at: false }
    }
}

impl Candidate {
    /// Fetches what a person wants, and holds it against all that this home knows.
    pub async fn of(home: &Home, wanted: &Wanted, lock: &Lock, keyring: &Keyring) -> Result<Self> {
        let wants = wanted.digest.as_deref().map(digest).transpose()?;
        let reference = match Reference::parse(&wanted.package) {
            Ok(reference) => reference,
            Err(fault) => return Err(unnamed::told(home, wanted, lock, fault).await.into()),
        };
        let given = match reference {
            Reference::File(path) => Given::file(&path, wants)?,
            Reference::Web(url) => Given::served(home, &url, wants).await?,
            Reference::Oci(name) => Given::pulled(registry(home, &name)?.pull().await?, wants)?,
            Reference::Named(_) | Reference::Digest(_) if wants.is_some() => {
                let hint =
                    "a package of an index is named by its version, publisher:name@1.2.3, or by sha256:HEX alone";
                return Err(Fault::usage("--digest is for a file", hint).into());
            }
            Reference::Named(named) => return of_index(home, wanted, Which::Named(named, 0), lock, keyring).await,
            Reference::Digest(digest) => return of_index(home, wanted, Which::Digest(digest), lock, keyring).await,
        };
        of_given(home, given, wants, lock, keyring)
    }

    /// The newest version that one of these indexes lists behind this sequence number, of what is installed; or how that stands there, if there is none.
    pub async fn newer(
        read: &[Index<'_>],
        (now, behind): (&Release, u64),
        config: &PackagesConfig,
        (lock, keyring): (&Lock, &Keyring),
    ) -> Result<Result<Self, Standing>> {
        match Which::Named(Named::parse(&now.name)?, behind).find(read).await.map_err(|(_, why)| why)? {
            Some((index, listed)) => fetched(index, listed, None, config, (lock, keyring)).await.map(Ok),
            None => Ok(Err(Standing::of(read, now).await)),
        }
    }

    /// The newest version of this name that one of these indexes lists.
    pub async fn among(
        read: &[Index<'_>],
        named: &str,
        config: &PackagesConfig,
        (lock, keyring): (&Lock, &Keyring),
    ) -> Result<Self> {
        let which = Which::Named(Named::parse(named)?, 0);
        let found = which.find(read).await.map_err(|(_, why)| why)?;
        chosen(read, (&which, found), config, (lock, keyring)).await
    }

    /// The name that it runs by.
    pub fn agent(&self) -> &str {
        self.package.manifest.agent()
    }

    /// Who signed it, as grants name them, if somebody did.
    pub fn signer(&self) -> Option<PublisherKey> {
        self.signed.as_ref().map(|(voucher, _)| voucher.party().name())
    }

    /// The digest of the bill of materials that its publisher signed with it, if one is named.
    pub fn sbom(&self) -> Option<Digest> {
        match (&self.signed, &self.envelope) {
            (Some((Voucher::Keys(_), _)), Some(envelope)) => Statement::open(envelope).ok()?.sbom,
            // A bundle of cosign is about the package alone.
            _ => None,
        }
    }

    /// `publisher:name version`
    pub fn story(&self) -> String {
        format!("{} {}", text::line(&self.package.manifest.name), text::line(&self.package.manifest.version))
    }
}

/// What an index lists.
async fn of_index(home: &Home, wanted: &Wanted, which: Which, lock: &Lock, keyring: &Keyring) -> Result<Candidate> {
    let indexes = Indexes::of(home, wanted.index.as_deref())?;
    if !wanted.is_looked_at {
        let read = indexes.read(home).await?;
        let found = which.find(&read).await.map_err(|(index, why)| indexes.alone(index, indexes.about(index, why)))?;
        return chosen(&read, (&which, found), &indexes.config, (lock, keyring)).await;
    }
    let (mut read, mut faults) = indexes.read_apart(home).await?;
    let found = loop {
        let found = which.find(&read).await;
        let found = found.map(|found| found.map(|(index, listed)| (index.name().to_owned(), listed)));
        match found.map_err(|(index, why)| (index.to_owned(), indexes.about(index, why))) {
            Ok(found) => break found,
            Err((index, why)) => {
                faults.push((index.clone(), why));
                read.retain(|one| one.name() != index);
            }
        }
    };
    let Some((name, listed)) = found else {
        // It could be listed where nobody could look.
        return match faults.into_iter().next() {
            Some((index, why)) => Err(indexes.alone(&index, why).into()),
            None => chosen(&read, (&which, None), &indexes.config, (lock, keyring)).await,
        };
    };
    let faults: Vec<Fault> = faults.into_iter().map(|(_, why)| why).collect();
    left_out::indexes(&faults);
    let found = read.iter().find(|index| index.name() == name).map(|index| (index, listed));
    chosen(&read, (&which, found), &indexes.config, (lock, keyring)).await
}

/// What was found in one of these indexes, or why there is nothing.
async fn chosen(
    read: &[Index<'_>],
    (which, found): (&Which, Option<(&Index<'_>, Listed)>),
    config: &PackagesConfig,
    (lock, keyring): (&Lock, &Keyring),
) -> Result<Candidate> {
    let Some((index, listed)) = found else {
        return Err(match which {
            Which::Named(named, _) => nowhere(read, named).await.into(),
            Which::Digest(digest) => no_such_file(read, *digest).await.into(),
        });
    };
    // Nobody is handed an older version; a person who names it goes back, where the newer one is one that nobody gets any more.
    let listing = &listed.listing;
    let older = match lock.is_older(&listing.name, listing.seq) && !runs(lock, &listed) {
        true => newest_taken_back(read, &listing.name, lock).await,
        false => None,
    };
    if let Some(newer) = older.as_ref().filter(|_| !which.names_one()) {
        let (name, version) = (&listing.name, &listing.version);
        let message = format!("{name} {version} is older than what was here: {newer}");
        return Err(Fault::denied(
            message,
            format!("whoever wants it nevertheless names it: agentry install {name}@{version}"),
        )
        .into());
    }
    fetched(index, listed, older, config, (lock, keyring)).await
}

/// Whether it runs here.
fn runs(lock: &Lock, listed: &Listed) -> bool {
    lock.agents.values().any(|installed| installed.now.digest.0 == listed.digest)
}

/// What is listed, from where it lies, if this home takes it.
async fn fetched(
    index: &Index<'_>,
    listed: Listed,
    older: Option<String>,
    config: &PackagesConfig,
    (lock, keyring): (&Lock, &Keyring),
) -> Result<Candidate> {
    let named = Named::parse(&listed.listing.name)?;
    let (component, envelope) = index.fetch(&listed).await?;
    let bytes = component.into_bytes();
    let statement = Statement::open(&envelope)?;
    config.takes_keys(&named.publisher)?;
    if statement.vouched.holders != listed.holders {
        let message =
            format!("{} is signed by another key than the index lists for `{}`", named.name(), named.publisher);
        return Err(Fault::denied(message, "tell whoever runs the index, and the publisher").into());
    }
    let voucher = Voucher::from(statement.vouched.clone());
    let how = keyring.trusts(&named.publisher, &voucher, Some(How::Index))?;
    let follows = if older.is_some() { None } else { Some(lock) };
    let package = looked_at(&bytes, Some(&statement), follows, Some(&listed))?;
    let imitates = imitates(&package, lock, keyring);
    let index = Some(listed.index.clone());
    let (envelope, signed) = (Some(envelope), Some((voucher, how)));
    Ok(Candidate { package, bytes, envelope, signed, index, from: None, imitates, older })
}

/// A component that came without an index, and what lies beside it.
struct Given {
    bytes: Vec<u8>,
    envelope: Option<Vec<u8>>,
    /// Of cosign.
    bundle: Option<Vec<u8>>,
    /// Where it is, harmless.
    shown: String,
    /// Where its signature should be, harmless.
    signature: String,
    /// If it is not on this machine.
    from: Option<String>,
}

impl Given {
    fn file(path: &Path, wants: Option<Digest>) -> Result<Self> {
        let signature = PathBuf::from(format!("{}.sig", path.display()));
        let bundle = PathBuf::from(format!("{}.{BUNDLE}", path.display()));
        Ok(Self {
            bytes: package::read(path)?,
            envelope: beside(file::read(&signature, SIGNATURE_MAX_BYTES), wants)?,
            bundle: beside(file::read(&bundle, BUNDLE_MAX_BYTES), wants)?,
            shown: text::line(&path.display().to_string()),
            signature: text::line(&signature.display().to_string()),
            from: None,
        })
    }

    async fn served(home: &Home, url: &Url, wants: Option<Digest>) -> Result<Self> {
        let web = Arc::new(Web::new(Arc::new(System::new(Config::load(home.path())?.hosts))));
        let config = PackagesConfig::load(home.path())?;
        let offered = Offered::new(url, &config, web)?;
        let shown = text::line(url.as_str());
        let bytes = offered.file(FILE_MAX_BYTES).await?.ok_or_else(|| {
            Fault::unavailable(format!("{shown} is not there"), "look at the address, or ask whoever offers it")
        })?;
        let envelope = beside(offered.beside("sig", SIGNATURE_MAX_BYTES).await, wants)?;
        // Where it could count for nobody, nobody asks for it.
        let bundle = match config.publishers.is_empty() {
            true => None,
            false => beside(offered.beside(BUNDLE, BUNDLE_MAX_BYTES).await, wants)?,
        };
        Ok(Self { bytes, envelope, bundle, signature: format!("{shown}.sig"), from: Some(url.to_string()), shown })
    }

    /// What vouches for it, and the bytes of that: the statement, unless its publisher is one who is pinned by an identity; then the bundle.
    fn word(&self, config: &PackagesConfig, is: Digest) -> Result<(Word, Option<Vec<u8>>), Fault> {
        let said = self.envelope.as_ref().map(|envelope| Statement::open(envelope)).transpose();
        match (said, &self.bundle) {
            (Ok(Some(said)), bundle) if bundle.is_none() || config.identity(name::publisher(&said.name)).is_none() => {
                said.is_of(is)?;
                config.takes_keys(name::publisher(&said.name))?;
                Ok((Word::Keys(said), self.envelope.clone()))
            }
            (Err(fault), bundle) if bundle.is_none() || config.publishers.is_empty() => Err(fault),
            (_, Some(bundle)) => Ok((Word::Identity(config.proof(bundle, &self.bytes)?), Some(bundle.clone()))),
            (_, None) => {
                let message = format!("{} is not signed: there is no {}", self.shown, self.signature);
                let hint = "get the .sig that belongs to it; or hear its digest from the author and name it: --digest sha256:HEX";
                Err(Fault::denied(message, hint))
            }
        }
    }

    fn candidate(
        self,
        package: Package,
        signed: Option<(Voucher, How)>,
        envelope: Option<Vec<u8>>,
        lock: &Lock,
        keyring: &Keyring,
    ) -> Candidate {
        let imitates = imitates(&package, lock, keyring);
        let (bytes, from, envelope) = (self.bytes, self.from, envelope.filter(|_| signed.is_some()));
        Candidate { package, bytes, envelope, signed, index: None, from, imitates, older: None }
    }

    fn pulled(pulled: Pulled, wants: Option<Digest>) -> Result<Self> {
        let from = pulled.from.to_string();
        let (shown, signature) = (from.clone(), "layer with a signature".to_owned());
        let envelope = beside(pulled.envelope, wants)?;
        Ok(Self { bytes: pulled.component, envelope, bundle: None, shown, signature, from: Some(from) })
    }
}

/// What lies beside a file. Whoever named the digest of the file needs none of it, so it stops nobody that it is not to be had.
fn beside(read: Result<Option<Vec<u8>>, Fault>, wants: Option<Digest>) -> Result<Option<Vec<u8>>, Fault> {
    match read {
        Err(why) if wants.is_some() => {
            left_out::signature(&why);
            Ok(None)
        }
        read => read,
    }
}

/// The registry of a package, as this home may ask it.
pub fn registry(home: &Home, name: &OciName) -> Result<Registry> {
    let config = Config::load(home.path())?;
    let line = PackagesConfig::load(home.path())?.registry(&name.host);
    let web = Arc::new(Web::new(Arc::new(System::new(config.hosts))));
    Ok(Registry::new(name, line, web, Secrets::open(&config.secrets))?)
}

/// What vouches for a file.
enum Word {
    /// A statement of whoever holds keys.
    Keys(Statement),
    /// A bundle of whoever a certificate names.
    Identity(Proof),
}

/// It, if this home takes it.
fn of_given(home: &Home, given: Given, wants: Option<Digest>, lock: &Lock, keyring: &Keyring) -> Result<Candidate> {
    let config = Indexes::of(home, None)?.config;
    let is = package::digest(&given.bytes);
    if wants.is_some_and(|wants| wants != is) {
        let message = format!("{} is not the file that was named: its digest is sha256:{is}", given.shown);
        return Err(Fault::denied(message, "get it again; whoever named the digest meant another file").into());
    }
    // Whoever named the digest needs no signature: a good one counts, and a revoked key still stops.
    let word = match given.word(&config, is) {
        Ok(word) => Some(word),
        Err(_) if wants.is_some() => None,
        Err(fault) => return Err(fault.into()),
    };
    let (package, signed, signature) = match word {
        None => (looked_at(&given.bytes, None, Some(lock), None)?, None, None),
        Some((Word::Keys(said), envelope)) => {
            let voucher = Voucher::from(said.vouched.clone());
            let sponsor = config.first_use.then_some(How::FirstUse);
            let signed = trusted(keyring, name::publisher(&said.name), voucher, sponsor, wants)?;
            let said = signed.is_some().then_some(&said);
            (looked_at(&given.bytes, said, Some(lock), None)?, signed, envelope)
        }
        Some((Word::Identity(proof), bundle)) => {
            // Whose it is says the manifest, which the bundle is about as a whole.
            let package = looked_at(&given.bytes, None, Some(lock), None)?;
            let signed = match certified(&config, &package, proof) {
                Ok(voucher) => {
                    trusted(keyring, name::publisher(&package.manifest.name), voucher, Some(How::Pinned), wants)?
                }
                Err(_) if wants.is_some() => None,
                Err(fault) => return Err(fault.into()),
            };
            (package, signed, bundle)
        }
    };
    Ok(given.candidate(package, signed, signature, lock, keyring))
}

/// By whose word whoever signed is the publisher; nobody's, where a person named the digest.
fn trusted(
    keyring: &Keyring,
    publisher: &str,
    voucher: Voucher,
    sponsor: Option<How>,
    wants: Option<Digest>,
) -> Result<Option<(Voucher, How)>, Fault> {
    keyring.still_takes(&voucher)?;
    match keyring.trusts(publisher, &voucher, sponsor) {
        Ok(how) => Ok(Some((voucher, how))),
        Err(_) if wants.is_some() => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The word of a package's publisher, if it is they who are proven to have signed it.
fn certified(config: &PackagesConfig, package: &Package, proof: Proof) -> Result<Voucher, Fault> {
    let publisher = name::publisher(&package.manifest.name);
    match config.identity(publisher) {
        Some(identity) => proof.of(publisher, identity).map(Voucher::from),
        None => Err(Fault::denied(
            format!(
                "packages.toml pins nobody as `{publisher}` by an identity, and a bundle of cosign is all that vouches for it"
            ),
            format!(
                "hear from `{publisher}` on another way who signs for it, then name that: [publishers.{publisher}] in packages.toml"
            ),
        )),
    }
}

/// Digest, then sequence number, unless it need follow nothing, then the structural gate in a process of its own; and each says the same as
/// the others.
fn looked_at(
    bytes: &[u8],
    said: Option<&Statement>,
    follows: Option<&Lock>,
    listed: Option<&Listed>,
) -> Result<Package> {
    let is = package::digest(bytes);
    let follows = |name: &str, seq: u64| follows.map_or(Ok(()), |lock| lock.follows(name, seq, is));
    if let Some(said) = said {
        said.is_of(is)?;
        follows(&said.name, said.seq)?;
    }
    let package = crate::package::of(bytes).context("this package is refused")?;
    said.map_or(Ok(()), |said| said.vouches_for(&package))?;
    let manifest = &package.manifest;
    follows(&manifest.name, manifest.seq)?;
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

/// All versions that the indexes of a home list, of every publisher.
pub async fn listed(read: &[Index<'_>]) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for index in read {
        all.extend(index.all().await?);
    }
    Ok(all)
}

/// Whose name this one could be taken for.
fn imitates(package: &Package, lock: &Lock, keyring: &Keyring) -> Option<String> {
    let manifest = &package.manifest;
    let publisher = name::publisher(&manifest.name);
    let known = keyring.publishers.contains_key(publisher);
    let of_publisher = keyring.imitated(publisher).filter(|_| !known).map(|other| format!("the publisher `{other}`"));
    let of_agent = imitated(manifest.agent(), lock.agents.keys().map(String::as_str));
    of_publisher.or_else(|| of_agent.map(|other| format!("the agent `{other}`, which is installed")))
}
