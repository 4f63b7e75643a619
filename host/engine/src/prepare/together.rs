//! Packages that one child reads together. They lie in a file without a name as they come, so that this process holds none of them while it hashes the
//! next; what is said of one counts for the bytes that were hashed here, and for no others.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use agentry_kernel::Digest;

use super::guard::{ask_several, file_without_name};
use super::slots::SLOTS;
use super::{PrepareError, Preparer, nothing};
use crate::package::{Hashed, Package};

/// Packages that wait to be read.
#[derive(Debug)]
pub struct Together {
    /// Of each its length, its digest and its bytes.
    file: File,
    all: Vec<Piece>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    digest: Digest,
    from: u64,
    bytes: usize,
}

impl Together {
    /// None yet.
    ///
    /// # Errors
    /// If the system gives no file.
    pub fn new() -> Result<Self, PrepareError> {
        Ok(Self { file: file_without_name().map_err(wrong)?, all: Vec::new() })
    }

    /// Puts one behind the others.
    ///
    /// # Errors
    /// If there is no memory for it: then nothing more is to be added.
    pub fn add(&mut self, component: &Hashed) -> Result<(), PrepareError> {
        let bytes = component.bytes();
        let length = u32::try_from(bytes.len()).map_err(|error| PrepareError::Child(error.to_string()))?;
        let behind = self.all.last().map_or(0, |last| last.from + last.bytes as u64);
        let head = [&length.to_le_bytes()[..], &component.digest().0].concat();
        self.file.write_all(&head).and_then(|()| self.file.write_all(bytes)).map_err(wrong)?;
        self.all.push(Piece { digest: component.digest(), from: behind + head.len() as u64, bytes: bytes.len() });
        Ok(())
    }

    /// What they say of themselves, in their order, as [`Preparer::read`] says it. One child reads all of them, so that what has been read cannot harm
    /// this process; what has been made for it could lie about those behind it, as far as that child's own limits and memory safety do not hold. So it
    /// is for showing packages, and what runs is read alone. Where that child does not come to its end, each is read by one of its own.
    pub async fn read(self, preparer: &Preparer) -> Vec<Result<Package, PrepareError>> {
        let this = Arc::new(self);
        if let Some(program) = preparer.program()
            && let Some(read) = Arc::clone(&this).by_one(program).await
        {
            return read;
        }
        let mut read = Vec::with_capacity(this.all.len());
        for piece in &this.all {
            read.push(match this.again(piece) {
                Ok(bytes) => preparer.read(bytes.into()).await,
                Err(error) => Err(error),
            });
        }
        read
    }

    /// What one child says of all of them; none if it has not come to its end with them.
    async fn by_one(self: Arc<Self>, program: &Path) -> Option<Vec<Result<Package, PrepareError>>> {
        let program = program.to_owned();
        let work = move |goes_on: &dyn Fn() -> bool| {
            let file = self.file.try_clone().map_err(wrong)?;
            let said = ask_several(&program, file, self.all.len(), goes_on).ok_or_else(nothing)?;
            let believed = |piece: &Piece, facts: &[u8]| Package::of_facts(facts, piece.digest, piece.bytes);
            let read = said.into_iter().zip(&self.all).map(|(said, piece)| believed(piece, &said?).ok_or_else(nothing));
            Ok(read.collect())
        };
        SLOTS.in_turn(work).await.ok()
    }

    /// The bytes of one. A child that broke had the file too.
    fn again(&self, piece: &Piece) -> Result<Vec<u8>, PrepareError> {
        let mut bytes = vec![0; piece.bytes];
        self.file.read_exact_at(&mut bytes, piece.from).map_err(wrong)?;
        let hashed = Hashed::of(bytes);
        if hashed.digest() != piece.digest {
            return Err(PrepareError::Child("what one child was given was changed by another".to_owned()));
        }
        Ok(hashed.into_bytes())
    }
}

fn wrong(error: std::io::Error) -> PrepareError {
    PrepareError::Child(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn together() -> Together {
        let mut together = Together::new().unwrap();
        together.add(&Hashed::of(b"one".to_vec())).unwrap();
        together.add(&Hashed::of(b"other".to_vec())).unwrap();
        together
    }

    #[test]
    fn where_one_child_does_not_read_all_each_is_read_by_its_own() {
        let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = threads.block_on(together().read(&Preparer::Child("/bin/false".into())));
        assert!(read.len() == 2 && read.iter().all(|read| matches!(read, Err(PrepareError::Child(_)))), "{read:?}");
        let read = threads.block_on(together().read(&Preparer::InProcess));
        assert!(read.len() == 2 && read.iter().all(|read| matches!(read, Err(PrepareError::Package(_)))), "{read:?}");
    }

    #[test]
    fn what_a_child_changed_is_read_by_no_other() {
        let together = together();
        assert_eq!(together.again(&together.all[1]).unwrap(), b"other");
        let behind = together.all[1].from;
        together.file.write_all_at(b"O", behind).unwrap();
        assert!(together.again(&together.all[0]).is_ok() && together.again(&together.all[1]).is_err());
    }
}
