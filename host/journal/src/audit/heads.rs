//! Heads of the log in a second place: a file that grows by a line at most once a second, best on a disk that whoever could change the
//! store cannot. With it, a log that was cut or written anew shows too, and a home that was set back to an earlier day. A line that a crash or a
//! full disk has torn is passed over, and counted.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use agentry_kernel::digest::Digest;
use agentry_store::ids::{HostId, SegmentId};
use parking_lot::{Condvar, Mutex};

use crate::Tip;

/// The least time between two lines: a day of work makes at most 10 MB.
const PAUSE: Duration = Duration::from_secs(1);

/// A file of heads; a longer one is read up to here only by mistake. Some ten years of a host that never rests.
const FILE_MAX_BYTES: u64 = 32 * 1024 * 1024 * 1024;

/// What is read of the end of a file for its newest head: some hundred lines.
const END_BYTES: u64 = 64 * 1024;

/// What a line begins with: the version of this format. Then come the host's number, the segment's and its head.
const FORMAT: &str = "2";

/// Version 1 had no number of a host: there was only the first one.
const FORMAT1: &str = "1";

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The segment.
    pub segment: SegmentId,
    /// Its head.
    pub digest: Digest,
}

/// Why a file of heads cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// The system says no.
    #[error("cannot use the heads in `{file}`: {why}\nhint: name a file that the user that runs agents may use")]
    Io {
        /// The file.
        file: String,
        /// The system's words.
        why: io::Error,
    },
    /// It is something else.
    #[error(
        "{file}:{line}: this is no head of a log\nhint: name the file that `heads` of [audit] in agentry.toml names"
    )]
    Line {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
    },
}

/// What a file of heads holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHeads {
    /// Its heads.
    pub heads: Vec<Head>,
    /// Lines that are none: torn by a crash or a full disk, or put there.
    pub torn: u64,
}

/// Reads a file of heads.
///
/// # Errors
/// When it cannot be read, or holds something else and no head.
pub fn read(path: &Path) -> Result<KnownHeads, HeadsError> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|open| open.take(FILE_MAX_BYTES).read_to_end(&mut bytes));
    opened.map_err(|why| HeadsError::Io { file: file.clone(), why })?;
    // A torn line may end in the middle of anything.
    let text = String::from_utf8_lossy(&bytes);
    let (mut known, mut last) = (KnownHeads::default(), BTreeMap::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        match parse(line) {
            Some(head) => {
                let last = last.insert(head.segment.host, head.segment.number);
                if last.is_some_and(|last| last >= head.segment.number) {
                    // A person had the home go on from an earlier day: what came behind that then was given up.
                    let given_up = |old: &Head| old.segment.host == head.segment.host && old.segment >= head.segment;
                    known.heads.retain(|old| !given_up(old));
                }
                known.heads.push(head);
            }
            None => known.torn += 1,
        }
    }
    if known.heads.is_empty() && known.torn > 0 {
        return Err(HeadsError::Line { file, line: 1 });
    }
    Ok(known)
}

/// The newest head of this host that the file has; none if it has none, or is not there.
///
/// # Errors
/// When it cannot be read.
pub fn newest(path: &Path, host: HostId) -> Result<Option<Head>, HeadsError> {
    let error = |why| HeadsError::Io { file: path.display().to_string(), why };
    let mut file = match File::open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(error)?,
    };
    let length = file.metadata().map_err(error)?.len();
    let mut bytes = Vec::new();
    let end = file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES)));
    end.and_then(|_| file.take(END_BYTES).read_to_end(&mut bytes)).map_err(error)?;
    let text = String::from_utf8_lossy(&bytes);
    // The last one: behind a word of a person, numbers may be smaller.
    Ok(text.lines().rev().filter_map(parse).find(|head| head.segment.host == host))
}

fn parse(line: &str) -> Option<Head> {
    let mut words = line.split(' ');
    let host = match words.next()? {
        FORMAT => HostId(words.next()?.parse().ok()?),
        FORMAT1 => HostId::FIRST,
        _ => return None,
    };
    let (number, digest) = (words.next()?.parse().ok()?, words.next()?);
    if words.next().is_some() || digest.len() != 64 || !digest.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digest.get(place..place + 2)?, 16).ok()?;
    }
    Some(Head { segment: SegmentId { host, number }, digest: Digest(bytes) })
}

/// The writer of heads: it is told each tip that is on disk, and writes the newest. Dropping it writes the last one.
pub struct Heads {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tip: Option<Tip>,
    closed: bool,
    place: PlaceState,
}

/// How the second place stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceState {
    /// The last segment whose head was written there since the host opened.
    pub written: Option<SegmentId>,
    /// Why the next one cannot be written; none if all is well.
    pub failing: Option<String>,
}

/// Tells of tips; cheap to clone.
#[derive(Clone)]
pub struct Teller(Arc<Shared>);

impl Teller {
    /// This tip is on disk. Never waits.
    pub fn tell(&self, tip: Tip) {
        self.0.state.lock().tip = Some(tip);
        self.0.changed.notify_one();
    }

    /// How the second place stands.
    pub fn place(&self) -> PlaceState {
        self.0.state.lock().place.clone()
    }
}

impl Heads {
    /// Opens the file, or makes it for its user alone. `failed` is told when a line cannot be written, once until one can.
    ///
    /// # Errors
    /// When it cannot be opened for appending.
    pub fn open(path: PathBuf, failed: impl Fn(&HeadsError) + Send + 'static) -> Result<Self, HeadsError> {
        let error = |why| HeadsError::Io { file: path.display().to_string(), why };
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = open().map_err(error)?;
        let torn = is_torn(&path).map_err(error)?;
        let shared = Arc::<Shared>::default();
        let thread = thread::Builder::new().name("heads".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            let path = path.clone();
            move || serve(&shared, file, torn, &path, failed)
        });
        Ok(Self { shared, thread: Some(thread.map_err(error)?) })
    }

    /// Whom to tell.
    pub fn teller(&self) -> Teller {
        Teller(Arc::clone(&self.shared))
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

/// Whether the last line has no end, because a crash or a full disk came in between.
fn is_torn(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn serve(shared: &Shared, mut file: File, mut torn: bool, path: &Path, failed: impl Fn(&HeadsError)) {
    let mut told = false;
    loop {
        let (tip, closed) = shared.next();
        if let Some(tip) = tip {
            match write(&mut file, tip, torn) {
                Ok(()) => {
                    (told, torn) = (false, false);
                    let number = tip.next.number.saturating_sub(1);
                    let written = Some(SegmentId { number, ..tip.next });
                    shared.state.lock().place = PlaceState { written, failing: None };
                }
                Err(why) => {
                    // A part of the line may stand there.
                    torn = true;
                    shared.state.lock().place.failing = Some(why.to_string());
                    if !std::mem::replace(&mut told, true) {
                        failed(&HeadsError::Io { file: path.display().to_string(), why });
                    }
                    shared.state.lock().tip.get_or_insert(tip);
                }
            }
        }
        if closed {
            return;
        }
        shared.pause();
    }
}

fn write(file: &mut File, tip: Tip, torn: bool) -> io::Result<()> {
    let begin = if torn { "\n" } else { "" };
    let line = format!("{begin}{FORMAT} {} {} {}\n", tip.next.host, tip.next.number.saturating_sub(1), tip.head);
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

impl Shared {
    /// The newest tip that is not written, as soon as there is one; and whether it is the last.
    fn next(&self) -> (Option<Tip>, bool) {
        let mut state = self.state.lock();
        while state.tip.is_none() && !state.closed {
            self.changed.wait(&mut state);
        }
        (state.tip.take(), state.closed)
    }

    /// Lets others come together, unless it is closed.
    fn pause(&self) {
        let mut state = self.state.lock();
        let until = std::time::Instant::now() + PAUSE;
        while !state.closed && !self.changed.wait_until(&mut state, until).timed_out() {}
    }
}
