//! Starts one preparer, hears its answer and says which limit it broke if it broke one. It waits for no longer than it must, and leaves
//! no child behind.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use agentry_store::limits::{
    ARTIFACT_MAX_BYTES, COMPILE_ADDRESS_MAX_BYTES, COMPILE_CPU_MAX_S, COMPILE_WALL_MAX_S, PACKAGE_FACTS_MAX_BYTES,
    PREPARE_MESSAGE_MAX_BYTES, PREPARE_STACK_BYTES, READ_ADDRESS_MAX_BYTES, READ_CPU_MAX_S, READ_WALL_MAX_S,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::frames::{self, Answer, Said};
use super::{PrepareError, Stage, VERB, one_line};

/// One child, one answer.
pub(super) fn ask(
    program: &Path,
    words: &[&str],
    input: &[&[u8]],
    goes_on: &dyn Fn() -> bool,
) -> Result<Answer, PrepareError> {
    let (wall_s, made_max) = match words {
        ["read"] => (READ_WALL_MAX_S, 0),
        _ => (COMPILE_WALL_MAX_S, ARTIFACT_MAX_BYTES),
    };
    let answer_max = frames::AROUND_BYTES + PACKAGE_FACTS_MAX_BYTES + made_max;
    let bounds = (answer_max, Duration::from_secs(wall_s));
    let input = handed_over(input).map_err(|error| PrepareError::Child(error.to_string()))?;
    let Told { said, complained, status } = run(program, words, input, bounds, goes_on)?;
    let answer = Answer::read(&said);
    let stage = if answer.facts.is_some() { Stage::Compiling } else { Stage::Reading };
    match (complained, status) {
        (Heard::TooLate, _) => Err(PrepareError::Wall { stage, seconds: wall_s }),
        (Heard::All(complaint), Some(status)) => verdict(status, answer, stage, &String::from_utf8_lossy(&complaint)),
        (Heard::All(_) | Heard::TooMuch, _) => Err(PrepareError::Child("it says too much".to_owned())),
    }
}

/// One child for several components in this file, each with its length and its digest before it; none if it did not come to its end with all of them.
pub(super) fn ask_several(
    program: &Path,
    mut input: File,
    count: usize,
    goes_on: &dyn Fn() -> bool,
) -> Option<Vec<Said>> {
    input.rewind().ok()?;
    let answer_max = count.saturating_mul(frames::AROUND_BYTES + PACKAGE_FACTS_MAX_BYTES).min(ARTIFACT_MAX_BYTES);
    let bounds = (answer_max, Duration::from_secs(READ_WALL_MAX_S));
    let told = run(program, &["read-several"], input, bounds, goes_on).ok()?;
    let all = frames::several(&told.said);
    (told.status.is_some_and(|status| status.success()) && all.len() == count).then_some(all)
}

/// What came of a child.
struct Told {
    said: Vec<u8>,
    complained: Heard,
    /// None if it did not end in its time.
    status: Option<ExitStatus>,
}

/// Runs one child, which may say so much and take so long.
fn run(
    program: &Path,
    words: &[&str],
    input: File,
    (answer_max, wall): (usize, Duration),
    goes_on: &dyn Fn() -> bool,
) -> Result<Told, PrepareError> {
    let wrong = |error: std::io::Error| PrepareError::Child(error.to_string());
    let child = Command::new(program)
        .arg(VERB)
        .args(words)
        .env_clear()
        // glibc reserves 64 MB of address space a thread otherwise, which the limit would count.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(wrong)?;
    let mut child = Ended(child);
    let (said, complained) = heard(&mut child.0, answer_max, wall, goes_on).map_err(wrong)?;
    let status = match complained {
        Heard::TooLate => None,
        Heard::All(_) | Heard::TooMuch => Some(child.0.wait().map_err(wrong)?),
    };
    Ok(Told { said, complained, status })
}

/// The bytes as a file without a name, which needs nobody who feeds it.
fn handed_over(parts: &[&[u8]]) -> std::io::Result<File> {
    let mut file = file_without_name()?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.rewind()?;
    Ok(file)
}

/// A file in memory, which goes with whoever has it open.
pub(super) fn file_without_name() -> std::io::Result<File> {
    Ok(rustix::fs::memfd_create("component", rustix::fs::MemfdFlags::CLOEXEC)?.into())
}

/// A child that does not outlive who asked.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(PartialEq, Eq)]
enum Heard {
    /// Both pipes are closed; this came by the second.
    All(Vec<u8>),
    TooMuch,
    TooLate,
}

/// Reads the child's answer and complaint until it closes both.
fn heard(
    child: &mut Child,
    answer_max: usize,
    wall: Duration,
    goes_on: &dyn Fn() -> bool,
) -> std::io::Result<(Vec<u8>, Heard)> {
    /// How soon a child ends that nobody waits for any more.
    const LOOKS_UP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

    let begun = Instant::now();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    let mut piece = vec![0; 64 * 1024];
    while stdout.is_some() || stderr.is_some() {
        if begun.elapsed() > wall || !goes_on() {
            return Ok((answer, Heard::TooLate));
        }
        let of_stdout = stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let of_stderr = stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let (has_stdout, mut polled) =
            (of_stdout.is_some(), of_stdout.into_iter().chain(of_stderr).collect::<Vec<_>>());
        match poll(&mut polled, Some(&LOOKS_UP)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        drop(polled);
        if has_stdout && ready.first() == Some(&true) {
            take(&mut stdout, &mut piece, &mut answer)?;
        }
        if ready.get(usize::from(has_stdout)) == Some(&true) {
            take(&mut stderr, &mut piece, &mut complaint)?;
        }
        if answer.len() > answer_max || complaint.len() > PREPARE_MESSAGE_MAX_BYTES {
            let _ = child.kill();
            return Ok((answer, Heard::TooMuch));
        }
    }
    Ok((answer, Heard::All(complaint)))
}

/// What a pipe that is ready gives; it is gone when it has ended.
fn take<P: Read>(pipe: &mut Option<P>, piece: &mut [u8], into: &mut Vec<u8>) -> std::io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    match open.read(piece)? {
        0 => *pipe = None,
        count => into.extend_from_slice(&piece[..count]),
    }
    Ok(())
}

fn verdict(status: ExitStatus, answer: Answer, stage: Stage, complaint: &str) -> Result<Answer, PrepareError> {
    use std::os::unix::process::ExitStatusExt;

    let limit = |what: String| Err(PrepareError::Limit { stage, what });
    let (cpu_s, address_bytes) = match stage {
        Stage::Reading => (READ_CPU_MAX_S, READ_ADDRESS_MAX_BYTES),
        Stage::Compiling => (COMPILE_CPU_MAX_S, COMPILE_ADDRESS_MAX_BYTES),
    };
    match (status.code(), status.signal()) {
        (Some(0), _) => match answer {
            Answer { refused: Some(error), .. } => Err(error.into()),
            Answer { uncompiled: Some(why), .. } => Err(PrepareError::Component(why)),
            answer => Ok(answer),
        },
        (None, Some(signal)) if signal == Signal::XCPU.as_raw() => limit(format!("{cpu_s} s of processor time")),
        // Rust's runtime says what happened before it aborts.
        (None, Some(_)) if complaint.contains("overflowed its stack") => {
            limit(format!("{} MiB of stack: its types are nested too deeply", PREPARE_STACK_BYTES >> 20))
        }
        (None, Some(_)) if complaint.contains("memory allocation") => {
            limit(format!("{} MiB of memory", address_bytes >> 20))
        }
        (None, Some(signal)) if signal == Signal::KILL.as_raw() => Err(PrepareError::Killed),
        (None, _) => Err(PrepareError::Crash(one_line(&format!("{status} {complaint}")))),
        (Some(_), _) if complaint.contains("panicked") => Err(PrepareError::Crash(one_line(complaint))),
        _ => Err(PrepareError::Child(one_line(&format!("{status}: {complaint}")))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn ended_by(signal: Signal, complaint: &str) -> Option<PrepareError> {
        verdict(ExitStatus::from_raw(signal.as_raw()), Answer::read(&[]), Stage::Reading, complaint).err()
    }

    #[test]
    fn a_child_that_was_killed_says_nothing_of_the_component() {
        let killed = ended_by(Signal::KILL, "").expect("it is no package");
        assert!(matches!(killed, PrepareError::Killed) && !killed.is_final(), "{killed}");
        assert!(killed.to_string().contains("memory"), "{killed}");
        assert!(matches!(ended_by(Signal::XCPU, ""), Some(PrepareError::Limit { .. })));
        assert!(matches!(ended_by(Signal::SEGV, ""), Some(PrepareError::Crash(_))));
        assert!(matches!(
            ended_by(Signal::ABORT, "memory allocation of 9 bytes failed"),
            Some(PrepareError::Limit { .. })
        ));
    }
}
