//! Names of contents that need not be written again, in bounded memory: what is forgotten is written once more.

use std::collections::HashSet;

use agentry_kernel::digest::Digest;

/// Names kept in memory, half of them old ones: about 4 MB.
const KNOWN_MAX: usize = 64 * 1024;

/// Names of contents that are in the store or on their way, as far as is remembered: two generations of a set.
#[derive(Default)]
pub(crate) struct Known {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

impl Known {
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.young.contains(digest) || self.old.contains(digest)
    }

    /// True if it was not known.
    pub(crate) fn learn(&mut self, digest: Digest) -> bool {
        if self.has(&digest) {
            return false;
        }
        if self.young.len() >= KNOWN_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest)
    }
}

#[cfg(test)]
mod tests {
    use agentry_store::content::Content;

    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        for number in 0..3 * KNOWN_MAX {
            assert!(known.learn(Content::of(number.to_be_bytes()).digest));
        }
        assert!(known.young.len() + known.old.len() <= KNOWN_MAX);
    }
}
