//! Whose signature the files have that are installed: the fact on which a grant with `publisher` rests. A key that is revoked vouches for
//! nothing, and what cannot be read vouches for nothing either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use agentry_engine::package::Stamp;
use agentry_kernel::digest::Digest;
use agentry_kernel::publisher::PublisherKey;

use crate::keyring::{Keyring, PUBLISHERS_FILE};
use crate::lock::{LOCK_FILE, Lock};

/// What is known of a home, as it was when its files were looked at last.
#[derive(Debug)]
pub struct Signers {
    home: PathBuf,
    known: Mutex<Option<Known>>,
}

#[derive(Debug)]
struct Known {
    /// Of the lock and of the publishers.
    of: [Option<Stamp>; 2],
    signed: BTreeMap<Digest, PublisherKey>,
}

impl Signers {
    /// Of this home.
    pub fn at(home: &Path) -> Self {
        Self { home: home.to_owned(), known: Mutex::new(None) }
    }

    /// Who signed the file of this digest, as grants name them, if it is or was installed here and enough of their keys are not revoked. The files of the home are
    /// read again when they have changed.
    pub fn of(&self, file: Digest) -> Option<PublisherKey> {
        let of = [LOCK_FILE, PUBLISHERS_FILE].map(|name| Stamp::of(&self.home.join(name)));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has just been written may be written again without showing it.
        let settled = of.iter().flatten().all(Stamp::is_settled);
        if let Some(known) = known.as_ref().filter(|known| settled && known.of == of) {
            return known.signed.get(&file).copied();
        }
        let signed = read(&self.home).unwrap_or_default();
        let found = signed.get(&file).copied();
        *known = Some(Known { of, signed });
        found
    }
}

fn read(home: &Path) -> Option<BTreeMap<Digest, PublisherKey>> {
    let (lock, keyring) = (Lock::load(home).ok()?, Keyring::load(home).ok()?);
    let good = lock.signers().filter(|(_, voucher)| keyring.still_takes(voucher).is_ok());
    Some(good.map(|(file, voucher)| (file, voucher.party().name())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PublicKey;
    use crate::keyring::Revoked;
    use crate::lock::fixture::release;
    use agentry_kernel::time::Millis;

    #[test]
    fn a_file_that_is_or_was_installed_has_its_signer_until_the_key_is_revoked() {
        let home = tempfile::tempdir().unwrap();
        let (at, signers) = (home.path(), Signers::at(home.path()));
        let key: PublicKey = format!("ed25519:{}", "0a".repeat(32)).parse().unwrap();
        let first = release("1.0.0", 1);
        assert_eq!(signers.of(first.digest.0), None, "nothing is installed");
        let mut lock = Lock::default();
        for seq in 1..=6 {
            lock.put(
                "clock",
                crate::lock::Release { vouched: Some(key.into()), ..release(&format!("1.{}.0", seq - 1), seq) },
            );
        }
        lock.put("other", crate::lock::Release { name: "acme:other".into(), ..release("9.0.0", 9) });
        lock.save(at, at).unwrap();
        assert_eq!(signers.of(first.digest.0), Some(key.into()), "kept no longer, and runs of it may go on");
        assert_eq!(signers.of(release("9.0.0", 9).digest.0), None, "nobody signed it");
        let whole = std::fs::read(at.join(LOCK_FILE)).unwrap();
        std::fs::write(at.join(LOCK_FILE), &whole[..whole.len() / 2]).unwrap();
        assert_eq!(signers.of(first.digest.0), None, "a lock that is not whole vouches for nothing");
        std::fs::write(at.join(LOCK_FILE), &whole).unwrap();
        let mut keyring = Keyring::default();
        keyring.revoked.insert(key, Revoked { since: Millis(1), because: String::new() });
        keyring.save(at, at).unwrap();
        assert_eq!(signers.of(first.digest.0), None, "its key is revoked");
    }
}
