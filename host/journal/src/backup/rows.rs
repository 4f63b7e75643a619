//! What a generation holds: each row and file with its place in a pack, in the order of names. It is a store to be read, so that a backup is audited
//! as a home is.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use agentry_store::{Batch, Key, Page, Range, Row, Store, StoreError, Value};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::BackupError;
use super::pack::{Name, PackError, PackReader, Packed, digest_of};

/// What the names of rows begin with; those of files and of what a pack says of itself stand before them.
pub(super) const STORE: u8 = b's';
/// Files.
pub(super) const FILES: u8 = b'f';

/// Rows and files of a generation. A name takes its length in memory, and some fifty bytes more.
#[derive(Default)]
pub(super) struct Rows {
    packs: Vec<(PathBuf, File)>,
    names: Vec<u8>,
    places: Vec<Place>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Place {
    name_at: u64,
    name_length: u16,
    pack: u16,
    /// False if it is gone.
    there: bool,
    at: u64,
    length: u32,
    /// The beginning of the value's digest: enough to see that a value is another one.
    digest: [u8; 16],
}

impl Place {
    /// Whether the value is the one of this digest, as far as is remembered.
    pub(super) fn has(&self, digest: &Name, length: usize) -> bool {
        self.length as usize == length && digest.starts_with(&self.digest)
    }

    /// What its value takes.
    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.length)
    }
}

impl Rows {
    /// Reads these packs, each over those before it, and proves each by its digest; gives the digests.
    pub(super) fn read(packs: impl IntoIterator<Item = PathBuf>) -> Result<(Self, Vec<Name>), BackupError> {
        let (mut rows, mut digests) = (Self::default(), Vec::new());
        for path in packs {
            digests.push(rows.add(path)?);
        }
        rows.settle();
        Ok((rows, digests))
    }

    /// The same with one more pack over all.
    pub(super) fn over(mut self, path: PathBuf) -> Result<(Self, Name), BackupError> {
        let digest = self.add(path)?;
        self.settle();
        Ok((self, digest))
    }

    fn add(&mut self, path: PathBuf) -> Result<Name, BackupError> {
        let open = || File::open(&path).map_err(|why| BackupError::io(&path, why));
        let pack = u16::try_from(self.packs.len()).map_err(|_| damaged(&path, "it is one of too many".to_owned()))?;
        let mut reader = PackReader::begin(BufReader::with_capacity(1 << 20, open()?)).map_err(error(&path))?;
        let digest = loop {
            match reader.next().map_err(error(&path))? {
                Ok(packed) => self.place(pack, &packed),
                Err(digest) => break digest,
            }
        };
        let file = open()?;
        self.packs.push((path, file));
        Ok(digest)
    }

    fn place(&mut self, pack: u16, Packed { name, put }: &Packed) {
        let name_at = self.names.len() as u64;
        let name_length = u16::try_from(name.len()).expect("a pack has no longer names");
        self.names.extend_from_slice(name);
        let mut place = Place { name_at, name_length, pack, there: put.is_some(), at: 0, length: 0, digest: [0; 16] };
        if let Some(put) = put {
            place.at = put.at;
            place.length = u32::try_from(put.value.len()).expect("a pack has no longer values");
            place.digest.copy_from_slice(put.digest.first_chunk::<16>().expect("a digest is longer"));
        }
        self.places.push(place);
    }

    /// Of each name the last that a pack says; what is gone is gone.
    fn settle(&mut self) {
        let names = &self.names;
        let name = |place: &Place| name_of(names, place);
        self.places.sort_unstable_by(|one, other| name(one).cmp(name(other)).then(other.pack.cmp(&one.pack)));
        self.places.dedup_by(|later, first| name(later) == name(first));
        self.places.retain(|place| place.there);
    }

    /// All of an area, in order, each with its name behind the area.
    pub(super) fn area(&self, area: u8) -> impl Iterator<Item = (&[u8], &Place)> {
        let range = self.find(&[area])..self.find(&[area + 1]);
        self.places.get(range).into_iter().flatten().map(|place| (&self.name(place)[1..], place))
    }

    /// All of it, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8], &Place)> {
        self.places.iter().map(|place| (self.name(place), place))
    }

    /// The value at a place, proven again by its digest.
    pub(super) fn value(&self, place: &Place) -> Result<Value, BackupError> {
        let (path, file) = self.packs.get(usize::from(place.pack)).expect("a place is in a pack that was read");
        let mut value = vec![0; place.length as usize];
        file.read_exact_at(&mut value, place.at).map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => damaged(path, "it ends in the middle".to_owned()),
            _ => BackupError::io(path, why),
        })?;
        if !place.has(&digest_of(&value), value.len()) {
            return Err(damaged(path, format!("what stands at byte {} was changed", place.at)));
        }
        Ok(value)
    }

    fn name(&self, place: &Place) -> &[u8] {
        name_of(&self.names, place)
    }

    /// The first at or behind this name.
    fn find(&self, name: &[u8]) -> usize {
        self.places.partition_point(|place| self.name(place) < name)
    }

    fn stored(&self, key: &[u8]) -> Option<&Place> {
        let name = [&[STORE], key].concat();
        let place = self.places.get(self.find(&name))?;
        (self.name(place) == name).then_some(place)
    }

    fn read_stored(&self, place: &Place) -> Result<Value, StoreError> {
        self.value(place).map_err(|error| StoreError::Io { why: error.to_string() })
    }
}

fn name_of<'a>(names: &'a [u8], place: &Place) -> &'a [u8] {
    let at = usize::try_from(place.name_at).expect("it is in memory");
    &names[at..at + usize::from(place.name_length)]
}

fn damaged(path: &Path, why: String) -> BackupError {
    BackupError::Damaged { file: path.display().to_string(), why }
}

/// What is wrong with the pack in this file.
fn error(path: &Path) -> impl Fn(PackError) -> BackupError {
    let path = path.to_owned();
    move |error| match error {
        PackError::Io(why) => BackupError::io(&path, why),
        PackError::Damaged(why) => damaged(&path, why),
        PackError::Newer(found) => {
            BackupError::Newer { file: path.display().to_string(), found: u64::from(found), known: 1 }
        }
    }
}

impl Store for Rows {
    fn commit(&self, _: Batch) -> BoxFuture<'static, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::ReadOnly)).boxed()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.stored(key).map(|place| self.read_stored(place)).transpose()
    }

    fn has(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.stored(key).is_some())
    }

    fn scan(&self, range: &Range, page: Page) -> Result<Vec<Row>, StoreError> {
        let at = |key: &Key| self.find(&[&[STORE], key.as_slice()].concat());
        let places = self.places.get(at(&range.from)..at(&range.to)).unwrap_or_default();
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut take = |place: &Place| -> Result<bool, StoreError> {
            let key = self.name(place)[1..].to_vec();
            let size = key.len() + place.length as usize;
            if rows.len() >= page.rows || (!rows.is_empty() && bytes + size > page.bytes) {
                return Ok(false);
            }
            bytes += size;
            rows.push((key, self.read_stored(place)?));
            Ok(true)
        };
        let mut forwards = places.iter();
        let mut backwards = places.iter().rev();
        while let Some(place) = if range.reverse { backwards.next() } else { forwards.next() } {
            if !take(place)? {
                break;
            }
        }
        Ok(rows)
    }
}
