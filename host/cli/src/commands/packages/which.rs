//! Which file of an index is meant, and the one among all that indexes list. It fetches nothing.

use agentry_kernel::digest::Digest;
use agentry_packages::Fault;
use agentry_packages::index::client::Index;
use agentry_packages::index::listed::Listed;
use agentry_packages::name::Named;

use super::standing::{means, of_digest};

/// Which file of an index.
pub enum Which {
    /// The newest one of this name behind this sequence number.
    Named(Named, u64),
    /// The one of this digest.
    Digest(Digest),
}

impl Which {
    /// It, among versions that are not yanked; of two indexes that list the same, the first one's. Else the index of which that cannot be said, and why.
    pub async fn find<'i, 's>(
        &self,
        read: &'i [Index<'s>],
    ) -> Result<Option<(&'i Index<'s>, Listed)>, (&'i str, Fault)> {
        let mut best: Option<(&Index<'_>, Listed)> = None;
        for index in read {
            let listed = match self {
                Self::Named(named, _) => index.of(&named.publisher).await,
                Self::Digest(digest) => of_digest(index, *digest).await,
            };
            let listed = listed.map_err(|why| (index.name(), why))?;
            for one in listed.into_iter().filter(|one| one.listing.yanked.is_none() && self.is(one)) {
                if best.as_ref().is_none_or(|(_, best)| best.listing.seq < one.listing.seq) {
                    best = Some((index, one));
                }
            }
        }
        Ok(best)
    }

    /// Whether a person named this version and no other.
    pub fn names_one(&self) -> bool {
        match self {
            Self::Named(named, _) => named.names_one(),
            Self::Digest(_) => true,
        }
    }

    fn is(&self, one: &Listed) -> bool {
        match self {
            Self::Named(named, behind) => {
                let means = means(named, &one.listing.version);
                one.listing.name == named.name() && means && one.listing.seq > *behind
            }
            Self::Digest(digest) => one.digest == *digest,
        }
    }
}
