//! What a preparer answers: a head that names the version, then frames of a tag, a length and that many bytes. Whoever reads it
//! takes nothing from it that is not whole, and nothing twice.

use std::io::{Error, Result, Write};

use crate::package::PackageError;

/// The version is its last byte.
const HEAD: &[u8; 8] = b"agtprep\x01";

/// What stands in front of the bytes of a frame: its tag, and their number.
const LEAD_BYTES: usize = 5;

/// All that surrounds what an answer carries.
pub(super) const AROUND_BYTES: usize = HEAD.len() + 2 * LEAD_BYTES;

const FACTS: u8 = 1;
const REFUSED: u8 = 2;
const UNCOMPILED: u8 = 3;
const MADE: u8 = 4;

/// What is said of one of several: its facts, or why it is no package of this host.
pub(super) type Said = std::result::Result<Vec<u8>, PackageError>;

/// The answer, as far as it came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// What the package says of itself, as JSON. It comes before anything is compiled.
    pub facts: Option<Vec<u8>>,
    /// Machine code, or a package with its manifest.
    pub made: Option<Vec<u8>>,
    /// Why it is no package of this host.
    pub refused: Option<PackageError>,
    /// Why it does not compile.
    pub uncompiled: Option<String>,
}

impl Answer {
    /// Reads what there is, up to the first thing that makes no sense.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut answer = Self::default();
        let Some(mut rest) = bytes.strip_prefix(HEAD) else { return answer };
        while let Some((tag, frame, behind)) = split(rest) {
            let text = || String::from_utf8_lossy(frame).into_owned();
            match tag {
                FACTS if answer.facts.is_none() => answer.facts = Some(frame.to_vec()),
                MADE if answer.made.is_none() => answer.made = Some(frame.to_vec()),
                UNCOMPILED if answer.uncompiled.is_none() => answer.uncompiled = Some(text()),
                REFUSED if answer.refused.is_none() => answer.refused = Some(refusal(frame)),
                _ => return Self::default(),
            }
            rest = behind;
        }
        answer
    }
}

/// What is said of several packages, one frame each and in their order, as far as it came.
pub(super) fn several(bytes: &[u8]) -> Vec<Said> {
    let mut found = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(HEAD) else { return found };
    while let Some((tag, frame, behind)) = split(rest) {
        match tag {
            FACTS => found.push(Ok(frame.to_vec())),
            REFUSED => found.push(Err(refusal(frame))),
            _ => break,
        }
        rest = behind;
    }
    found
}

fn refusal(frame: &[u8]) -> PackageError {
    let text = String::from_utf8_lossy(frame);
    let (message, hint) = text.split_once('\0').unwrap_or((&text, ""));
    PackageError::new(message, hint)
}

fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (frame, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((*tag, frame, rest))
}

/// Writes an answer, part by part; whoever reads it has what was flushed.
pub(super) struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Begins it.
    pub(super) fn new(mut out: W) -> Result<Self> {
        out.write_all(HEAD)?;
        Ok(Self(out))
    }

    /// What the package says of itself.
    pub(super) fn facts(&mut self, json: &[u8]) -> Result<()> {
        self.frame(FACTS, json)
    }

    /// What was made of it.
    pub(super) fn made(&mut self, bytes: &[u8]) -> Result<()> {
        self.frame(MADE, bytes)
    }

    /// Why it is no package of this host.
    pub(super) fn refused(&mut self, error: &PackageError) -> Result<()> {
        self.frame(REFUSED, format!("{}\0{}", error.message.replace('\0', ""), error.hint).as_bytes())
    }

    /// Why it does not compile.
    pub(super) fn uncompiled(&mut self, why: &str) -> Result<()> {
        self.frame(UNCOMPILED, why.as_bytes())
    }

    /// Hands over all that was written so far, whatever happens to this process.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    fn frame(&mut self, tag: u8, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).map_err(Error::other)?;
        self.0.write_all(&[tag])?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer<&mut Vec<u8>>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Writer::new(&mut bytes).unwrap());
        bytes
    }

    #[test]
    fn an_answer_comes_back_and_one_that_is_cut_says_no_more_than_came() {
        let bytes = written(|out| {
            out.facts(b"{}").unwrap();
            out.made(b"code").unwrap();
        });
        let whole = Answer::read(&bytes);
        assert_eq!((whole.facts.as_deref(), whole.made.as_deref()), (Some(&b"{}"[..]), Some(&b"code"[..])));
        for kept in 0..bytes.len() {
            let cut = Answer::read(&bytes[..kept]);
            assert!(cut.made.is_none() && cut.facts.is_none_or(|facts| facts == b"{}"), "{kept}");
        }
        let refused = written(|out| out.refused(&PackageError::new("no", "do")).unwrap());
        assert_eq!(Answer::read(&refused).refused, Some(PackageError::new("no", "do")));
    }

    #[test]
    fn what_is_said_of_several_keeps_its_order_and_ends_where_it_is_cut() {
        let bytes = written(|out| {
            out.facts(b"{}").unwrap();
            out.refused(&PackageError::new("no", "do")).unwrap();
            out.facts(b"[]").unwrap();
        });
        let whole = [Ok(b"{}".to_vec()), Err(PackageError::new("no", "do")), Ok(b"[]".to_vec())];
        assert_eq!(several(&bytes), whole);
        for kept in 0..bytes.len() {
            let cut = several(&bytes[..kept]);
            assert!(cut.len() < whole.len() && whole.starts_with(&cut), "{kept}");
        }
    }

    #[test]
    fn another_version_a_frame_twice_and_an_unknown_one_say_nothing() {
        let mut newer = written(|out| out.made(b"code").unwrap());
        newer[7] += 1;
        let twice = written(|out| {
            out.made(b"one").unwrap();
            out.made(b"two").unwrap();
        });
        let unknown = written(|out| {
            out.made(b"one").unwrap();
            out.frame(9, b"?").unwrap();
        });
        for bytes in [newer, twice, unknown, b"agtprep\x01\x04\xff\xff\xff\xff".to_vec()] {
            assert_eq!(Answer::read(&bytes), Answer::default());
        }
    }
}
