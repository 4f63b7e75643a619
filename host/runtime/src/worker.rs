//! The worker's own side: a process that executes guests for the process that started it. It has its connection, the code that it is handed over
//! and the memory of its guests, and reaches nothing else: no file, no network, no other process, no key.

mod line;
mod quick;
mod remote;

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;

use agentry_abi::port::{Ended, How};
use agentry_abi::wire::{self, Down, Handle, Hello, Up};
use agentry_engine::Hosting;
use agentry_engine::cache::Artifact;
use agentry_engine::confine::{self, Confined};
use agentry_engine::settings::Shape;
use agentry_kernel::manifest::Wants;
use agentry_store::limits::{ARTIFACT_MAX_BYTES, COMPONENTS_LOADED_MAX};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use self::line::Line;
use self::remote::Remote;
use crate::instance::{self, Linked};

/// After so many polls of guests it looks at its connection: a guest's poll may last a tick, and whoever waits for an answer waits no longer.
const LOOKS_UP_POLLS: u32 = 1;

/// The worker, which is told its shape and how many runs it has room for, and whose standard input is its connection. It ends with that.
pub fn child(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let shape = words.next().and_then(|word| word.to_str().and_then(Shape::of));
    let runs = words.next().and_then(|word| word.to_str().and_then(|word| word.parse().ok()));
    // First of all: then whatever is open is its own.
    let begun = confine::begin(Confined::Worker);
    let (Some(shape), Some(runs), Ok(connection)) = (shape, runs, std::io::stdin().as_fd().try_clone_to_owned()) else {
        return ExitCode::from(2);
    };
    let line = Arc::new(Line::new(connection));
    if let Err(why) = begun.map_err(|error| error.to_string()).and_then(|()| work(&line, shape, runs)) {
        line.say(&Up::Fails(why));
    }
    ExitCode::from(2)
}

fn work(line: &Arc<Line>, shape: Shape, runs: u32) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut landlocked = false;
    let hosting = Hosting::open_confined(shape, (runs, 1), || {
        landlocked = confine::files()?;
        Ok(())
    });
    let hosting = hosting.map_err(|error| error.to_string())?;
    // One thread: a guest that waits for an answer of the other side keeps it, and the core is that side's meanwhile.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(LOOKS_UP_POLLS).build();
    let runtime = runtime.map_err(text)?;
    confine::calls(Confined::Worker).map_err(text)?;
    line.say(&Up::Hello(Hello { version: wire::VERSION, settings: hosting.settings(), landlocked }));
    runtime.block_on(orders(line, &hosting)).map_err(text)
}

/// Does what it is told, for as long as there is somebody who tells.
async fn orders(line: &Arc<Line>, hosting: &Hosting) -> std::io::Result<()> {
    let connection = UnixStream::from_std(line.connection()?.into())?;
    // One that does not load has its place as well: which are there is counted on the other side too, before any of it is known.
    let mut loaded = HashMap::<_, Option<Arc<Linked>>>::new();
    loop {
        tokio::select! {
            ready = connection.readable() => {
                ready?;
                // Nothing is left when it has looked.
                let looked: std::io::Result<()> = connection.try_io(Interest::READABLE, || {
                    line.look();
                    Err(std::io::ErrorKind::WouldBlock.into())
                });
                drop(looked);
            }
            () = line.ordered() => line.look(),
        }
        while let Some((order, file)) = line.order() {
            match order {
                Down::Load { component, wants } => {
                    let linked = load(hosting, &wants, file);
                    // As the other side does as it sends this.
                    if loaded.len() >= COMPONENTS_LOADED_MAX && !loaded.contains_key(&component) {
                        loaded.clear();
                    }
                    let (linked, result) = match linked {
                        Ok(linked) => (Some(Arc::new(linked)), Ok(())),
                        Err(why) => (None, Err(why)),
                    };
                    loaded.insert(component, linked);
                    line.say(&Up::Loaded { component, result });
                }
                Down::Begin { run, component, beginning } => {
                    let linked = loaded.get(&component).cloned().flatten();
                    begin(line, run, linked, *beginning);
                }
                Down::Ping => line.say(&Up::Pong),
                // These are a run's, or answer what one asked: they do not come here.
                Down::Stop(_) | Down::Answer(..) | Down::Pieces(..) | Down::Opens(_) | Down::Over => {}
                Down::Passed(_)
                | Down::Clock(_)
                | Down::Heard(..)
                | Down::Next(_)
                | Down::Turn(_)
                | Down::Repeats(_) => {}
            }
        }
    }
}

/// A component out of its code, linked to what it may be.
fn load(hosting: &Hosting, wants: &str, code: Option<OwnedFd>) -> Result<Linked, (String, String)> {
    let broken =
        |what: &str| (format!("the code of the component is not what it should be: {what}"), "try again".to_owned());
    let wants: Wants = serde_json::from_str(wants).map_err(|error| broken(&error.to_string()))?;
    let code = code.ok_or_else(|| broken("it is not there"))?;
    let code = read(&code).map_err(|error| broken(&error.to_string()))?;
    let component = hosting.load(&Artifact::handed_over(code)).map_err(|why| {
        let hint = "an agent of fewer or smaller parts does; each has its room before it begins";
        (format!("the component does not fit this host: {why}"), hint.to_owned())
    })?;
    Linked::new(hosting, &component, &wants).map_err(|error| (error.message, error.hint))
}

/// All of a file, by nothing but reading: whoever may ask for the facts of a file may ask for those of any.
fn read(file: &OwnedFd) -> std::io::Result<Vec<u8>> {
    let length = rustix::fs::seek(file, rustix::fs::SeekFrom::End(0))?;
    let length = usize::try_from(length).ok().filter(|length| *length <= ARTIFACT_MAX_BYTES);
    let mut bytes = vec![0; length.ok_or_else(|| std::io::Error::other("it is too long"))?];
    let mut filled = 0;
    while filled < bytes.len() {
        let at = u64::try_from(filled).map_err(std::io::Error::other)?;
        match rustix::io::pread(file, &mut bytes[filled..], at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(bytes)
}

fn begin(line: &Arc<Line>, run: Handle, linked: Option<Arc<Linked>>, beginning: agentry_abi::port::Beginning) {
    let (stop, deadline) = (CancellationToken::new(), instance::deadline(&beginning));
    let remote = Arc::new(Remote::new(Arc::clone(line), run, stop.clone(), &beginning));
    line.enter(run, Arc::clone(&remote));
    let line = Arc::clone(line);
    tokio::spawn(async move {
        let near = Arc::clone(&remote) as _;
        let fuel_left = beginning.fuel;
        let ended = match linked {
            Some(linked) => instance::execute(&linked, near, stop, (deadline, beginning), || remote.overran()).await,
            None => Ended { how: How::NoRoom, fuel_left, memory_bytes: 0, last_words: None },
        };
        line.leave(run);
        remote.ended(ended);
    });
}

#[cfg(test)]
mod tests;
