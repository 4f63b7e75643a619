//! What indexes say of a version that is not to be had from them, or that is installed: taken back by its publisher, with the reason, or listed no
//! more. It fetches no package.

use agentry_kernel::digest::Digest;
use agentry_packages::Fault;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::lock::{Lock, Release};
use agentry_packages::name::{self, Named, Version};

use crate::screen::text;

/// How a version that is installed stands in the indexes of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is listed.
    Listed,
    /// Its publisher took it back, for this reason; the empty one is none.
    TakenBack(String),
    /// No index lists it.
    Unlisted,
}

impl Standing {
    /// Of this release; where one index lists it, what others say counts for nothing.
    pub async fn of(read: &[Index<'_>], now: &Release) -> Self {
        let publisher = name::publisher(&now.name);
        let mut standing = Self::Unlisted;
        for one in all_of(read, publisher).await.into_iter().filter(|one| one.digest == now.digest.0) {
            match one.listing.yanked {
                None => return Self::Listed,
                Some(because) => standing = Self::TakenBack(because),
            }
        }
        standing
    }
}

/// That the newest version which was installed here was taken back by its publisher, in words; none if it was not.
pub async fn newest_taken_back(read: &[Index<'_>], name: &str, lock: &Lock) -> Option<String> {
    let highest = lock.highest.get(name)?;
    let is_newest = |one: &Listed| {
        let file = lock.newest.get(name).is_none_or(|newest| newest.0 == one.digest);
        one.listing.name == name && one.listing.seq == *highest && file
    };
    let publisher = name::publisher(name);
    let newest = all_of(read, publisher).await.into_iter().find(is_newest)?.listing;
    let because = newest.yanked?;
    Some(format!("{} {} was taken back by its publisher{}", newest.name, newest.version, why(&because)))
}

/// Why no file of this digest is to be had.
pub async fn no_such_file(read: &[Index<'_>], digest: Digest) -> Fault {
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

/// All versions whose file has this digest; nothing else of the index's lists is kept.
pub async fn of_digest(index: &Index<'_>, digest: Digest) -> Result<Vec<Listed>, Fault> {
    index.picked(move |entry| (entry.digest()? == digest).then(|| entry.listed())?).await
}

/// Why nothing of this name is to be had.
pub async fn nowhere(read: &[Index<'_>], named: &Named) -> Fault {
    let shown = named.name();
    let (mut others, mut versions, mut yanked, mut meant) = (Vec::new(), Vec::new(), None, Vec::new());
    for one in all_of(read, &named.publisher).await {
        let listing = one.listing;
        match listing.yanked {
            because if listing.name != shown => drop(because),
            Some(because) if means(named, &listing.version) => meant.push((listing.seq, listing.version, because)),
            Some(because) => yanked = Some(because),
            None => versions.push((listing.seq, listing.version)),
        }
        others.push(listing.name);
    }
    if let Some((_, version, because)) = meant.iter().max() {
        return taken_back(&format!("{shown}@{version}"), because);
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

/// Whether a name means this version.
pub fn means(named: &Named, version: &str) -> bool {
    version.parse::<Version>().is_ok_and(|version| named.means(&version))
}

/// A publisher's reason, behind what was done.
pub fn why(because: &str) -> String {
    if because.is_empty() { String::new() } else { format!(": {}", text::cut(because, 200)) }
}

/// All that a publisher lists, as far as the lists can be read.
async fn all_of(read: &[Index<'_>], publisher: &str) -> Vec<Listed> {
    let mut all = Vec::new();
    for index in read {
        all.extend(index.of(publisher).await.unwrap_or_default());
    }
    all
}

/// What was listed and is not to be installed any more.
fn taken_back(shown: &str, because: &str) -> Fault {
    let message = format!("{} was taken back by its publisher{}", text::line(shown), why(because));
    let agent = shown.split_once(':').map_or(shown, |(_, agent)| agent);
    let word = text::line(agent.split('@').next().unwrap_or(agent));
    Fault::denied(message, format!("`agentry search {word}` lists what there is"))
}
