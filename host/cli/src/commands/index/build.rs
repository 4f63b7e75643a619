//! The pages of an index, out of what its files say: each package is read through the index as a home would, so nothing is shown that
//! would not be installed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agentry_packages::Fault;
use agentry_packages::index::client::{Index, Listed};
use agentry_packages::key::PublicKey;
use agentry_packages::source::Source;
use agentry_packages::statement::Statement;
use anyhow::{Context, Result};

use super::pages::{self, Shown};
use crate::package;
use crate::screen::units;

/// The file by which a directory of pages is told from one of something else.
const MARK: &str = ".agentry-index";

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
    write(&site.join("index.html"), &pages::list(&shown))?;
    for one in &shown {
        write(&page_of(&site, &one.listed), &pages::package(one))?;
    }
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
    let publishers: Vec<String> = index.publishers()?.map(str::to_owned).collect();
    let mut shown = Vec::new();
    for publisher in publishers {
        let mut versions: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for listed in index.of(&publisher).await? {
            versions.entry(listed.listing.name.clone()).or_default().push(listed);
        }
        for (_, mut versions) in versions {
            versions.sort_by_key(|listed| std::cmp::Reverse(listed.listing.seq));
            let Some(listed) = versions.iter().find(|listed| listed.listing.yanked.is_none()).cloned() else {
                continue;
            };
            let (component, envelope) = index.fetch(&listed).await?;
            let package = package::of(&component).with_context(|| listed.listing.name.clone())?;
            let said = Statement::open(&envelope)?;
            said.vouches_for(&package)?;
            if said.vouched.holders != listed.holders {
                let message = format!("{} is signed by another key than the index lists", listed.listing.name);
                return Err(Fault::denied(message, "its publisher signs it anew, or is listed by that key").into());
            }
            shown.push(Shown { listed, versions, manifest: package.manifest });
        }
    }
    Ok(shown)
}

/// Where the page of a package lies; its names are labels.
fn page_of(site: &Path, listed: &Listed) -> PathBuf {
    site.join(pages::place(&listed.listing.name)).join("index.html")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).and_then(|()| fs::write(path, text)).context("cannot write the pages")
}
