//! Turns a component into machine code in a child process with limits, because a compiler can be made to take all time and memory
//! that there is. Nothing of the component runs here.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agentry_store::limits::{
    ARTIFACT_MAX_BYTES, COMPILE_ADDRESS_MAX_BYTES, COMPILE_CPU_MAX_S, COMPILE_MESSAGE_MAX_BYTES, COMPILE_WALL_MAX_S,
    COMPONENT_MAX_BYTES,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::settings::{self, Shape};

/// The hidden verb by which a program compiles for itself.
pub const VERB: &str = "compile-component";

/// Who compiles.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// This program, called with [`VERB`], in a child with limits.
    Child(PathBuf),
    /// This process, without limits: for benches and tests, whose components are our own.
    InProcess,
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component uses what this host does not run.
    #[error("the component does not compile: {0}\nhint: build it for wasm32-wasip2, without experimental features")]
    Component(String),
    /// It took too much.
    #[error("the component does not compile within {what}\nhint: it is unusually large or made to be hard to compile")]
    Limit {
        /// Of what.
        what: String,
    },
    /// The child did not do its work.
    #[error("the compiler did not run: {0}")]
    Child(String),
    /// What the child made does not load.
    #[error("what the compiler made does not load\nhint: the program that compiles must be the one that runs")]
    Artifact,
}

impl Compiler {
    /// This program, where it may be called as a child.
    pub fn program(&self) -> Option<&Path> {
        match self {
            Self::Child(program) => Some(program),
            Self::InProcess => None,
        }
    }

    /// Machine code of this component.
    pub async fn compile(
        &self,
        engine: &wasmtime::Engine,
        shape: Shape,
        component: Arc<[u8]>,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::Child(program) => in_child(program, shape, component).await,
            Self::InProcess => {
                let engine = engine.clone();
                let work = tokio::task::spawn_blocking(move || engine.precompile_component(&component));
                let made = work.await.map_err(|error| CompileError::Child(error.to_string()))?;
                made.map_err(|error| CompileError::Component(one_line(&format!("{error:#}"))))
            }
        }
    }
}

async fn in_child(program: &PathBuf, shape: Shape, component: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    let child = Command::new(program)
        .args([VERB, shape.word()])
        .env_clear()
        // glibc reserves 64 MB of address space a thread otherwise, which the limit would count.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| CompileError::Child(error.to_string()))?;
    let wall = Duration::from_secs(COMPILE_WALL_MAX_S);
    match tokio::time::timeout(wall, converse(child, component)).await {
        Ok(result) => result,
        Err(_) => Err(CompileError::Limit { what: format!("{COMPILE_WALL_MAX_S} s") }),
    }
}

async fn converse(mut child: Child, component: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(CompileError::Child("it has no pipes".to_owned()));
    };
    let feed = async move {
        // A child that ends early closes the pipe; its status says why.
        let _ = stdin.write_all(&component).await;
        drop(stdin);
    };
    let artifact = capped(stdout, ARTIFACT_MAX_BYTES);
    let message = capped(stderr, COMPILE_MESSAGE_MAX_BYTES);
    let ((), artifact, message) = tokio::join!(feed, artifact, message);
    let Some(artifact) = artifact? else {
        let what = format!("{} MB of machine code", ARTIFACT_MAX_BYTES >> 20);
        return Err(CompileError::Limit { what });
    };
    let message = message?.unwrap_or_default();
    let status = child.wait().await.map_err(|error| CompileError::Child(error.to_string()))?;
    verdict(status, artifact, &String::from_utf8_lossy(&message))
}

fn verdict(status: std::process::ExitStatus, artifact: Vec<u8>, message: &str) -> Result<Vec<u8>, CompileError> {
    use std::os::unix::process::ExitStatusExt;

    let xcpu = rustix::process::Signal::XCPU.as_raw();
    let kill = rustix::process::Signal::KILL.as_raw();
    let abort = rustix::process::Signal::ABORT.as_raw();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(artifact),
        (Some(1), _) => Err(CompileError::Component(one_line(message))),
        (_, Some(signal)) if signal == xcpu || signal == kill => {
            Err(CompileError::Limit { what: format!("{COMPILE_CPU_MAX_S} s of processor time") })
        }
        // The allocator aborts when the address space ends.
        (_, Some(signal)) if signal == abort && message.contains("memory allocation") => {
            Err(CompileError::Limit { what: format!("{} GB of memory", COMPILE_ADDRESS_MAX_BYTES >> 30) })
        }
        _ => Err(CompileError::Child(format!("{status}: {}", one_line(message)))),
    }
}

/// All that `pipe` gives, or none if it is more than `max`; the rest is then not read, which ends the writer.
async fn capped(pipe: impl AsyncRead + Unpin, max: usize) -> Result<Option<Vec<u8>>, CompileError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    pipe.take(limit).read_to_end(&mut bytes).await.map_err(|error| CompileError::Child(error.to_string()))?;
    Ok((bytes.len() <= max).then_some(bytes))
}

fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// The child, which is told the shape of the engine: limits itself, reads a component from standard input and writes machine code to standard output. Exit code 1 and one
/// line on standard error if the component does not compile, 2 if something else is wrong.
pub fn child(shape: Option<&OsStr>) -> ExitCode {
    let shape = shape.and_then(OsStr::to_str).and_then(Shape::of).unwrap_or_default();
    if let Err(error) = limit_self() {
        let _ = writeln!(std::io::stderr(), "{error}");
        return ExitCode::from(2);
    }
    match compile_stdin(shape) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Wrong::Component(message)) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(1)
        }
        Err(Wrong::Io(error)) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

enum Wrong {
    Component(String),
    Io(std::io::Error),
}

fn compile_stdin(shape: Shape) -> Result<(), Wrong> {
    let mut component = Vec::new();
    let limit = u64::try_from(COMPONENT_MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin().take(limit).read_to_end(&mut component).map_err(Wrong::Io)?;
    if component.len() > COMPONENT_MAX_BYTES {
        return Err(Wrong::Component(format!("larger than {} MB", COMPONENT_MAX_BYTES >> 20)));
    }
    let engine = wasmtime::Engine::new(&settings::compiling(shape)).map_err(|e| Wrong::Io(std::io::Error::other(e)))?;
    let artifact =
        engine.precompile_component(&component).map_err(|e| Wrong::Component(one_line(&format!("{e:#}"))))?;
    let mut out = std::io::stdout().lock();
    out.write_all(&artifact).and_then(|()| out.flush()).map_err(Wrong::Io)
}

fn limit_self() -> std::io::Result<()> {
    let at_most = |resource, max| setrlimit(resource, Rlimit { current: Some(max), maximum: Some(max) });
    at_most(Resource::As, COMPILE_ADDRESS_MAX_BYTES)?;
    at_most(Resource::Cpu, COMPILE_CPU_MAX_S)?;
    // It writes no file, and leaves no image of itself when it breaks.
    at_most(Resource::Fsize, 0)?;
    at_most(Resource::Core, 0)?;
    Ok(())
}
