//! Heads of the log in a second place: a file that grows by a line at most once a second, best on a disk that whoever could change the
//! store cannot. With it, a log that was cut or written anew shows too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
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

/// Reads a file of heads. A last line that a crash cut short is left out.
///
/// # Errors
/// When it cannot be read or holds something else.
pub fn read(path: &Path) -> Result<Vec<Head>, HeadsError> {
    let file = path.display().to_string();
    let mut text = String::new();
    let opened = File::open(path).and_then(|open| open.take(FILE_MAX_BYTES).read_to_string(&mut text));
    opened.map_err(|why| HeadsError::Io { file: file.clone(), why })?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines = (1..).zip(whole.lines());
    lines.map(|(line, text)| parse(text).ok_or_else(|| HeadsError::Line { file: file.clone(), line })).collect()
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
        let shared = Arc::<Shared>::default();
        let thread = thread::Builder::new().name("heads".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            let path = path.clone();
            move || serve(&shared, file, &path, failed)
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

fn serve(shared: &Shared, mut file: File, path: &Path, failed: impl Fn(&HeadsError)) {
    let mut told = false;
    loop {
        let (tip, closed) = shared.next();
        if let Some(tip) = tip {
            match write(&mut file, tip) {
                Ok(()) => told = false,
                Err(why) => {
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

fn write(file: &mut File, tip: Tip) -> io::Result<()> {
    let line = format!("{FORMAT} {} {} {}\n", tip.next.host, tip.next.number.saturating_sub(1), tip.head);
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
