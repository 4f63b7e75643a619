//! The pages of an index, out of what its files say: each package is read through the index as a home would, so nothing is shown that
//! would not be installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use agentry_engine::prepare::Together;
use agentry_kernel::manifest::Manifest;
use agentry_packages::Fault;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::key::PublicKey;
use agentry_packages::source::Source;
use agentry_packages::statement::Statement;
use anyhow::{Context, Result};

use super::super::packages::left_out;
use super::lists;
use super::pages::{self, Beside, Shown};
use super::versions::Differences;
use crate::package;
use crate::screen::units;

/// The file by which a directory of pages is told from one of something else.
const MARK: &str = ".agentry-index";

/// Packages that one child reads together.
const BATCH_PACKAGES_MAX: usize = 128;

/// Their bytes.
const BATCH_BYTES_MAX: u64 = 16 << 20;

/// Versions of a package that are held against the one before, the newest of them.
const COMPARED_MAX: usize = 16;

/// Writes the pages of the index in this directory, whose root this key signed. Gives how many packages they show.
pub fn build(directory: &Path, root: PublicKey, out: &Path) -> Result<usize> {
    is_free(out)?;
    let state = tempfile::tempdir().context("cannot make a directory for what is read of the index")?;
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let shown = threads.block_on(read(directory, root, state.path()))?;
    let beside = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::tempdir_in(beside).context("cannot write beside the pages")?;
    let site = made.path().join("site");
    fs::create_dir(&site).and_then(|()| fs::write(site.join(MARK), "")).context("cannot write the pages")?;
    for (name, text) in lists::all(&shown) {
        write(&site.join(name), &text)?;
    }
    let write_some = |some: &[Shown]| -> Result<()> {
        some.iter().try_for_each(|one| write(&page_of(&site, &one.listed), &pages::package(one)))
    };
    std::thread::scope(|scope| {
        let parts = shown.chunks(shown.len().div_ceil(cores()).max(1));
        let hands: Vec<_> = parts.map(|part| scope.spawn(move || write_some(part))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().expect("it does not panic"))
    })?;
    // Whoever reads them meanwhile has the old ones or the new ones.
    if out.exists() {
        fs::rename(out, made.path().join("old")).context("cannot take the old pages away")?;
    }
    fs::rename(&site, out).context("cannot put the pages in their place")?;
    Ok(shown.len())
}

/// Whether pages may go there.
fn is_free(out: &Path) -> Result<()> {
    if !out.exists() || out.join(MARK).exists() {
        return Ok(());
    }
    let message = format!("{} is there, and is no directory of pages", out.display());
    Err(Fault::usage(message, "name one that is not there yet: --out DIR").into())
}

/// The newest version of each package that is not taken back, with all that are listed beside it.
async fn read(directory: &Path, root: PublicKey, state: &Path) -> Result<Vec<Shown>> {
    let source = Source::Directory(directory.to_owned());
    let index = Index::read(state, "pages", root, &source, units::now()).await?;
    // By publisher and name, and not as they were listed.
    let mut all: BTreeMap<(String, String), Vec<Listed>> = BTreeMap::new();
    let (believed, left_out) = index.picked_of_believed(|entry| entry.listed()).await?;
    left_out::tell(&left_out);
    for listed in believed {
        all.entry((listed.publisher.clone(), listed.listing.name.clone())).or_default().push(listed);
    }
    let packages = all.into_values().filter_map(|mut versions| {
        versions.sort_by_key(|listed| std::cmp::Reverse(listed.listing.seq));
        let newest = versions.iter().position(|listed| listed.listing.yanked.is_none())?;
        Some(Wanted { newest, versions })
    });
    let packages: Vec<Wanted> = packages.collect();
    let files: Vec<&Listed> = packages.iter().flat_map(Wanted::files).collect();
    let mut read = by_all_cores(&index, &batches(&files))?.into_iter();
    let (mut shown, mut left_out) = (Vec::new(), Vec::new());
    for package in packages {
        match package.shown(&mut read) {
            Ok(one) => shown.push(one),
            Err(why) => left_out.push(why),
        }
    }
    if shown.is_empty() && !left_out.is_empty() {
        return Err(left_out.swap_remove(0));
    }
    left_out::packages(&left_out);
    Ok(shown)
}

/// A package that a page is to be of.
struct Wanted {
    /// All that are listed, the newest first.
    versions: Vec<Listed>,
    /// Which of them a page shows.
    newest: usize,
}

impl Wanted {
    /// The versions whose files are read.
    fn files(&self) -> &[Listed] {
        let most = COMPARED_MAX.max(self.newest) + 1;
        self.versions.get(..most).unwrap_or(&self.versions)
    }

    /// With what stands in those files, which come next. A package that a home would not take hides no other. Only the one that is shown has to be as a home would take it: an earlier one may
    /// have been signed by a key of then.
    fn shown(self, read: &mut impl Iterator<Item = Result<Manifest>>) -> Result<Shown> {
        let mut manifests: Vec<_> = read.take(self.files().len()).collect();
        let beside = (0..self.versions.len()).map(|at| beside(&manifests, &self.versions, at)).collect();
        let listed = &self.versions[self.newest].listing;
        let about = || format!("{} {}", listed.name, listed.version);
        let manifest = manifests.swap_remove(self.newest).with_context(about)?;
        Ok(Shown { listed: self.versions[self.newest].clone(), versions: self.versions, beside, manifest })
    }
}

/// What a version is beside the one before it.
fn beside(manifests: &[Result<Manifest>], versions: &[Listed], at: usize) -> Beside {
    let Some(before) = versions.get(at + 1) else { return Beside::First };
    let from = before.listing.version.clone();
    match (manifests.get(at), manifests.get(at + 1)) {
        (Some(Ok(new)), Some(Ok(old))) => match Differences::of(old, new) {
            Ok(differences) => Beside::Compared { from, differences },
            Err(_) => Beside::Unknown { from },
        },
        _ => Beside::Unknown { from },
    }
}

/// As many together as one child reads in a moment, and as many bytes as nobody misses.
fn batches<'a>(files: &[&'a Listed]) -> Vec<Vec<&'a Listed>> {
    let mut batches: Vec<Vec<&Listed>> = Vec::new();
    let mut bytes = 0;
    for one in files {
        bytes += one.bytes;
        match batches.last_mut().filter(|batch| batch.len() < BATCH_PACKAGES_MAX && bytes <= BATCH_BYTES_MAX) {
            Some(batch) => batch.push(one),
            None => {
                bytes = one.bytes;
                batches.push(vec![one]);
            }
        }
    }
    batches
}

/// As many threads as do not wait for each other.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Looks at all of them, in their order.
fn by_all_cores(index: &Index<'_>, batches: &[Vec<&Listed>]) -> Result<Vec<Result<Manifest>>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Vec<Result<Manifest>>)>> {
        let threads = tokio::runtime::Builder::new_current_thread().build().context("cannot start")?;
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(at) else { return Ok(done) };
            done.push((at, threads.block_on(looked_at(index, batch))?));
        }
    };
    let done = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..cores().min(batches.len())).map(|_| scope.spawn(work)).collect();
        hands.into_iter().map(|hand| hand.join().expect("it does not panic")).collect::<Result<Vec<_>>>()
    })?;
    let mut all: Vec<(usize, Vec<Result<Manifest>>)> = done.into_iter().flatten().collect();
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().flat_map(|(_, read)| read).collect())
}

/// Fetches some files and holds each against its signature and what is listed.
async fn looked_at(index: &Index<'_>, batch: &[&Listed]) -> Result<Vec<Result<Manifest>>> {
    let (mut together, mut fetched) = (Together::new()?, Vec::new());
    for listed in batch {
        let one = index.fetch(listed).await;
        fetched.push(match one {
            Ok((component, envelope)) => {
                together.add(&component)?;
                Ok(envelope)
            }
            Err(fault) => Err(fault),
        });
    }
    let mut read = together.read(&package::preparer()?).await.into_iter();
    let manifests = batch.iter().zip(fetched).map(|(listed, envelope)| -> Result<Manifest> {
        let envelope = envelope?;
        let package = read.next().context("a package was not read")?.with_context(|| listed.listing.name.clone())?;
        let said = Statement::open(&envelope)?;
        said.vouches_for(&package)?;
        if said.vouched.holders != listed.holders {
            let message = format!("{} is signed by another key than the index lists", listed.listing.name);
            return Err(Fault::denied(message, "its publisher signs it anew, or is listed by that key").into());
        }
        Ok(package.manifest)
    });
    Ok(manifests.collect())
}

/// Where the page of a package lies; its names are labels.
fn page_of(site: &Path, listed: &Listed) -> PathBuf {
    site.join(pages::place(&listed.listing.name)).join("index.html")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).and_then(|()| fs::write(path, text)).context("cannot write the pages")
}
