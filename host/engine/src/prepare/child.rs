//! The preparer's own side: confines itself, reads one component from standard input and writes one answer. It runs nothing of it.

use std::ffi::OsString;
use std::io::{BufRead, BufWriter, Read, StdoutLock, Write};
use std::process::ExitCode;

use agentry_kernel::Digest;
use agentry_store::limits::{
    ARTIFACT_MAX_BYTES, COMPILE_ADDRESS_MAX_BYTES, COMPILE_CPU_MAX_S, COMPONENT_MAX_BYTES, PACKAGE_FACTS_MAX_BYTES,
    PREPARE_STACK_BYTES, READ_ADDRESS_MAX_BYTES, READ_CPU_MAX_S,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::frames::Writer;
use super::one_line;
use crate::confine::{self, Confined};
use crate::package::{self, Package, PackageError};
use crate::settings::{self, Shape};

/// The child, which is told what to do: `read`, `read-several`, `compile SHAPE` or `attach`. Exit code 0 with an answer, also if that is a refusal; 2 if
/// something else is wrong, with one line on standard error.
pub fn child(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    match answer(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

fn answer(words: Vec<String>) -> std::io::Result<()> {
    confine_self()?;
    // On a stack of its own, so that how deep a component may be does not depend on how the host was started.
    let work = std::thread::Builder::new().name("prepare".to_owned()).stack_size(PREPARE_STACK_BYTES);
    let worker = work.spawn(move || match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["read"] => read().map(drop),
        ["read-several"] => read_several(),
        ["compile", shape] => compile(Shape::of(shape).unwrap_or_default()),
        ["attach"] => attach(),
        _ => Err(std::io::Error::other("it is told nothing that it can do")),
    })?;
    worker.join().unwrap_or_else(|_| Err(std::io::Error::other("reading it panicked")))
}

type Out = Writer<BufWriter<StdoutLock<'static>>>;

/// What is said of several in a row wakes whoever reads it seldom.
const OUT_BYTES: usize = 64 * 1024;

fn begin_answer() -> std::io::Result<Out> {
    Writer::new(BufWriter::with_capacity(OUT_BYTES, std::io::stdout().lock()))
}

/// The component, if it is a package; what it says of itself has been written then.
fn read() -> std::io::Result<Option<(Vec<u8>, Out)>> {
    let bytes = input()?;
    let mut out = begin_answer()?;
    Ok(facts(&bytes, &mut out)?.then_some((bytes, out)))
}

/// The input is several components, the length and the digest of each before it; each has a frame of the answer. Whoever asks has hashed them, and
/// believes what is said here of those bytes alone.
fn read_several() -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut out = begin_answer()?;
    let mut component = Vec::new();
    while let Some(digest) = next(&mut input, &mut component)? {
        said(package::inspect_named(&component, digest), &mut out)?;
    }
    out.flush()
}

/// Reads the next component into the place of the one before it, and gives its digest as it stands there; none behind the last one.
fn next(input: &mut impl BufRead, component: &mut Vec<u8>) -> std::io::Result<Option<Digest>> {
    if input.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let (mut length, mut digest) = ([0; 4], [0; 32]);
    input.read_exact(&mut length)?;
    input.read_exact(&mut digest)?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length <= COMPONENT_MAX_BYTES);
    component.resize(length.ok_or_else(cut_short)?, 0);
    input.read_exact(component)?;
    Ok(Some(Digest(digest)))
}

/// What has its length before it, and what stands behind it.
fn led(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn cut_short() -> std::io::Error {
    std::io::Error::other("its input is cut")
}

fn facts(package: &[u8], out: &mut Out) -> std::io::Result<bool> {
    let is_one = said(package::inspect(package), out)?;
    out.flush()?;
    Ok(is_one)
}

/// Writes down what a package is, or why it is none. True if it is one.
fn said(read: Result<Package, PackageError>, out: &mut Out) -> std::io::Result<bool> {
    let read = read.and_then(|package| {
        let facts = package.facts();
        if facts.len() <= PACKAGE_FACTS_MAX_BYTES { Ok(facts) } else { Err(too_many()) }
    });
    match read {
        Ok(facts) => out.facts(&facts).map(|()| true),
        Err(error) => out.refused(&cut(error)).map(|()| false),
    }
}

fn compile(shape: Shape) -> std::io::Result<()> {
    let Some((component, mut out)) = read()? else { return Ok(()) };
    // It is a package: now it may take what compiling takes.
    raise(Resource::As, COMPILE_ADDRESS_MAX_BYTES)?;
    raise(Resource::Cpu, COMPILE_CPU_MAX_S)?;
    let engine = wasmtime::Engine::new(&settings::compiling(shape)).map_err(std::io::Error::other)?;
    match engine.precompile_component(&component) {
        Ok(artifact) if artifact.len() > ARTIFACT_MAX_BYTES => {
            out.uncompiled(&format!("it makes more than {} MiB of machine code", ARTIFACT_MAX_BYTES >> 20))
        }
        Ok(artifact) => out.made(&artifact),
        Err(error) => out.uncompiled(&one_line(&format!("{error:#}"))),
    }?;
    out.flush()
}

/// The input is a manifest as JSON, its length before it, and the component behind it.
fn attach() -> std::io::Result<()> {
    let input = input()?;
    let (manifest, component) = led(&input).ok_or_else(cut_short)?;
    let manifest = serde_json::from_slice(manifest).map_err(std::io::Error::other)?;
    let mut out = begin_answer()?;
    match package::attach(component, &manifest) {
        Ok(package) if facts(&package, &mut out)? => out.made(&package),
        Ok(_) => Ok(()),
        Err(error) => out.refused(&cut(error)),
    }?;
    out.flush()
}

fn input() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // With room for one byte too many, which is refused with the right words, and for the manifest to attach.
    let most = COMPONENT_MAX_BYTES + PACKAGE_FACTS_MAX_BYTES;
    std::io::stdin().take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_many() -> PackageError {
    PackageError::new(
        format!("what the component says of itself is more than {} KiB", PACKAGE_FACTS_MAX_BYTES >> 10),
        "import no more functions than the interfaces have",
    )
}

/// A refusal of a length that a person reads.
fn cut(error: PackageError) -> PackageError {
    let cut = |text: String| if text.len() <= 4_096 { text } else { text.chars().take(1_000).chain(['…']).collect() };
    PackageError::new(cut(error.message), cut(error.hint))
}

fn confine_self() -> std::io::Result<()> {
    confine::begin(Confined::Preparer)?;
    limit(Resource::As, READ_ADDRESS_MAX_BYTES, COMPILE_ADDRESS_MAX_BYTES)?;
    // Where both limits are one, the system kills without a word of why.
    limit(Resource::Cpu, READ_CPU_MAX_S, COMPILE_CPU_MAX_S + CPU_GRACE_S)?;
    // A kernel without the first of these has the second, which alone is enough to keep it from files.
    confine::files()?;
    confine::calls(Confined::Preparer)
}

/// How much longer than its limit a child has that does not end by the signal which tells of that.
const CPU_GRACE_S: u64 = 5;

fn limit(resource: Resource, now: u64, ever: u64) -> std::io::Result<()> {
    // Nobody may raise a limit that was lower before.
    let ever = getrlimit(resource).maximum.map_or(ever, |before| before.min(ever));
    Ok(setrlimit(resource, Rlimit { current: Some(now.min(ever)), maximum: Some(ever) })?)
}

fn raise(resource: Resource, to: u64) -> std::io::Result<()> {
    limit(resource, to, u64::MAX)
}
