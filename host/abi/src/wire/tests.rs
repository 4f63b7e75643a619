//! Frames taken apart: whole, cut, too long and of another version.

use agentry_store::limits::{QUICK_CALL_BYTES, QUICK_CALLS_MAX, QUICK_CALLS_MAX_BYTES};

use super::*;
use crate::bindings::agentry::agent::log::Level;
use crate::port::{How, LogEvent, Quick, QuickCall, TimersNow};

const RUN: Handle = Handle(7);

/// So many calls that were answered.
fn batch(calls: usize) -> Batch {
    let mut batch = Batch::default();
    let said = |at: usize| match at % 3 {
        0 => QuickCall::TimersNow,
        1 => QuickCall::TimersDeadline,
        _ => QuickCall::LogEvent(LogEvent { level: Level::Debug, line: "x".to_owned() }),
    };
    (0..calls).for_each(|at| batch.push(Quick { at: Millis(at as u64), call: said(at) }).unwrap());
    batch
}

fn said() -> Vec<Up> {
    let line = LogEvent { level: Level::Info, line: "grün".to_owned() };
    let ended = Ended { how: How::Output("1".to_owned()), fuel_left: 3, memory_bytes: 4, last_words: None };
    let of = |said| Up::Of(RUN, said);
    vec![
        Up::Hello(Hello { version: VERSION, settings: Digest::default(), landlocked: true }),
        Up::Loaded { component: Digest::default(), result: Err(("no".to_owned(), "do".to_owned())) },
        of(Said::Pass(Box::new(TimersNow {}.into()))),
        of(Said::Pass(Box::new(line.into()))),
        of(Said::Next { rests: true, waiting: vec![Delivery::Answer(CallId(1)), Delivery::Pieces(CallId(2))] }),
        of(Said::Waits(Rest { rests: true, has_seen_all: false, memory_bytes: 9 })),
        of(Said::Slept(Millis(u64::MAX))),
        of(Said::Answered(batch(3))),
        of(Said::Overran),
        of(Said::Ended(Box::new(ended))),
        Up::Pong,
    ]
}

fn written(frames: &[Up]) -> Vec<u8> {
    let (mut writer, mut bytes) = (Writer::default(), Vec::new());
    frames.iter().for_each(|frame| writer.write(frame, &mut bytes).unwrap());
    bytes
}

/// All frames of these pieces, and how the reading of them ended.
fn read(pieces: &[&[u8]]) -> (Vec<Up>, Result<(), Broken>) {
    let (mut reader, mut frames) = (Reader::of_worker(), Vec::new());
    for piece in pieces {
        reader.take(piece);
        loop {
            match reader.read() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(broken) => return (frames, Err(broken)),
            }
        }
    }
    (frames, Ok(()))
}

#[test]
fn frames_come_back_in_whatever_pieces_they_come() {
    let bytes = written(&said());
    assert_eq!(read(&[&bytes]), (said(), Ok(())));
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), (said(), Ok(())));
    for cut in 0..bytes.len() {
        let (frames, end) = read(&[&bytes[..cut], &bytes[cut..]]);
        assert_eq!((frames, end), (said(), Ok(())), "{cut}");
    }
}

#[test]
fn a_frame_twice_one_left_out_and_one_that_is_too_long_end_the_reading() {
    let (one, two) = (written(&said()[..1]), written(&said()[..2]));
    assert_eq!(read(&[&one, &one]).1, Err(Broken::OutOfOrder));
    assert_eq!(read(&[&two[one.len()..]]).1, Err(Broken::OutOfOrder));
    let long = u32::try_from(WORKER_SAID_MAX_BYTES + 1).unwrap().to_le_bytes();
    assert_eq!(read(&[&long, &[0; 8]]).1, Err(Broken::TooLong), "it is not waited for");
    let mut behind = written(&[Up::Pong]);
    behind[0] += 1;
    behind.push(0);
    assert_eq!(read(&[&behind]).1, Err(Broken::Nonsense), "something stands behind what it says");
}

#[test]
fn no_bytes_bring_the_reading_down() {
    let bytes = written(&said());
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            // Whatever comes of it: it neither panics nor takes more than it was given.
            let (frames, _) = read(&[&changed]);
            assert!(frames.len() <= said().len());
        }
    }
}

#[test]
fn a_batch_holds_so_much_and_what_holds_more_is_none() {
    let mut full = batch(QUICK_CALLS_MAX);
    let one = Quick { at: Millis(1), call: QuickCall::TimersNow };
    assert_eq!(full.push(one.clone()), Err(one.clone()));
    let line = "x".repeat(QUICK_CALLS_MAX_BYTES - QUICK_CALL_BYTES);
    let mut long = Batch::default();
    long.push(Quick { at: Millis(1), call: QuickCall::LogEvent(LogEvent { level: Level::Info, line }) }).unwrap();
    assert_eq!(long.push(one.clone()), Err(one.clone()), "in bytes as well");
    // A worker that puts more into one is not heard.
    let twice: Vec<Quick> = long.clone().into_iter().chain(long).collect();
    for calls in [vec![one; QUICK_CALLS_MAX + 1], twice] {
        let frame = postcard::to_allocvec(&calls).unwrap();
        assert!(postcard::from_bytes::<Batch>(&frame).is_err());
    }
}

#[test]
fn a_frame_that_would_be_too_long_is_not_written() {
    let (mut writer, mut bytes) = (Writer::default(), vec![1]);
    let fails = Up::Fails("x".repeat(WORKER_FRAME_MAX_BYTES));
    assert_eq!(writer.write(&fails, &mut bytes), Err(Broken::TooLong));
    assert_eq!(bytes, [1]);
    writer.write(&Up::Pong, &mut bytes).unwrap();
    assert_eq!(read(&[&bytes[1..]]), (vec![Up::Pong], Ok(())));
}
