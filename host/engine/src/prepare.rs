//! Has a component read, checked and compiled in a child with limits, because whoever takes a stranger's bytes apart can be made to
//! take all time, memory and stack that there is. This process parses nothing of it, and runs nothing.

mod child;
mod frames;
mod guard;
mod slots;
mod together;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentry_kernel::manifest::Manifest;

use super::package::{self, Package, PackageError};
use super::settings::Shape;
pub use child::child;
use guard::ask;
use slots::SLOTS;
pub use together::Together;

/// The hidden verb by which a program prepares for itself.
pub const VERB: &str = "prepare-component";

/// Who prepares.
#[derive(Clone, Debug)]
pub enum Preparer {
    /// This program, called with [`VERB`], in a child with limits.
    Child(PathBuf),
    /// This process, without limits, which is weaker: a component that is made for it ends the process. For benches and tests, whose
    /// components are our own.
    InProcess,
}

/// What is being done with a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is read, validated and checked.
    Reading,
    /// It is compiled.
    Compiling,
}

/// Why there is no package, or no machine code of it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is no package that this host runs.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The component uses what this host does not run.
    #[error("the component does not compile: {0}\nhint: build it for wasm32-wasip2, without experimental features")]
    Component(String),
    /// It took too much.
    #[error("the component {} within {what}\nhint: it is unusually large, or made to be hard to {}", .stage.failed(), .stage.verb())]
    Limit {
        /// Doing what.
        stage: Stage,
        /// Of what.
        what: String,
    },
    /// It broke the child in a way that no limit explains.
    #[error("the component crashes what reads it: {0}\nhint: build it again; if it is no stranger's, report it")]
    Crash(String),
    /// The child did not do its work.
    #[error("the preparer did not run: {0}\nhint: the program must be able to start itself as a child")]
    Child(String),
    /// Somebody else ended the child: an admin, or the system that has no memory left.
    #[error(
        "what reads components was ended from outside before it was done\nhint: the system does so where a machine has no memory left: see that it has some, and try again"
    )]
    Killed,
    /// It took long, which may be this machine's fault.
    #[error("the component {} within {seconds} s\nhint: this machine is busy, or it is made to be hard to {}", .stage.failed(), .stage.verb())]
    Wall {
        /// Doing what.
        stage: Stage,
        /// How long it was given.
        seconds: u64,
    },
    /// It compiles, and has more or larger parts than an instance may have here.
    #[error(
        "the component does not fit this host: {0}\nhint: an agent of fewer or smaller parts does; each has its room before it begins"
    )]
    TooLarge(String),
}

impl Stage {
    fn failed(self) -> &'static str {
        match self {
            Self::Reading => "cannot be read",
            Self::Compiling => "does not compile",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Reading => "read",
            Self::Compiling => "compile",
        }
    }
}

impl PrepareError {
    /// True if the same bytes will always be refused so.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Package(_) | Self::Component(_) | Self::Limit { .. } | Self::Crash(_) | Self::TooLarge(_) => true,
            Self::Child(_) | Self::Killed | Self::Wall { .. } => false,
        }
    }
}

impl Preparer {
    /// This program, where it may be called as a child.
    pub fn program(&self) -> Option<&Path> {
        match self {
            Self::Child(program) => Some(program),
            Self::InProcess => None,
        }
    }

    /// What the package in these bytes says of itself. It waits for its turn.
    ///
    /// # Errors
    /// If this host would not run it.
    pub async fn read(&self, bytes: Arc<[u8]>) -> Result<Package, PrepareError> {
        let preparer = self.clone();
        SLOTS.in_turn(move |goes_on| preparer.read_by(&bytes, goes_on)).await
    }

    /// The same, and machine code for this engine, or for one of this shape in another process.
    ///
    /// # Errors
    /// If this host would not run it, or it does not compile within its limits.
    pub async fn compile(
        &self,
        engine: Option<&wasmtime::Engine>,
        shape: Shape,
        bytes: Arc<[u8]>,
    ) -> Result<(Package, Vec<u8>), PrepareError> {
        let (preparer, engine) = (self.clone(), engine.cloned());
        let work = move |goes_on: &dyn Fn() -> bool| match &preparer {
            Self::Child(program) => {
                let answer = ask(program, &["compile", shape.word()], &[&bytes], goes_on)?;
                let facts = answer.facts.unwrap_or_default();
                Ok((believed(&facts, &bytes)?, answer.made.ok_or_else(nothing)?))
            }
            Self::InProcess => {
                let package = package::inspect(&bytes)?;
                let engine = engine.as_ref().ok_or_else(nothing)?;
                let made = engine.precompile_component(&bytes);
                Ok((package, made.map_err(|error| PrepareError::Component(one_line(&format!("{error:#}"))))?))
            }
        };
        SLOTS.in_turn(work).await
    }

    /// As [`Self::read`], at once, for a command that does nothing else meanwhile.
    ///
    /// # Errors
    /// The same.
    pub fn read_now(&self, bytes: &[u8]) -> Result<Package, PrepareError> {
        self.read_by(bytes, &|| true)
    }

    /// Puts a manifest into a component that has none, and reads the package that it makes.
    ///
    /// # Errors
    /// If the bytes are not a component, have a manifest already, or import what the manifest does not declare.
    pub fn attach_now(&self, component: &[u8], manifest: &Manifest) -> Result<(Package, Vec<u8>), PrepareError> {
        match self {
            Self::Child(program) => {
                let wants = serde_json::to_vec(manifest).map_err(|error| PrepareError::Child(error.to_string()))?;
                let length = u32::try_from(wants.len()).map_err(|error| PrepareError::Child(error.to_string()))?;
                let answer = ask(program, &["attach"], &[&length.to_le_bytes(), &wants, component], &|| true)?;
                // It adds to the component and changes nothing of it.
                let made = answer.made.filter(|made| made.starts_with(component)).ok_or_else(nothing)?;
                Ok((believed(&answer.facts.unwrap_or_default(), &made)?, made))
            }
            Self::InProcess => {
                let made = package::attach(component, manifest)?;
                Ok((package::inspect(&made)?, made))
            }
        }
    }

    fn read_by(&self, bytes: &[u8], goes_on: &dyn Fn() -> bool) -> Result<Package, PrepareError> {
        match self {
            Self::Child(program) => {
                let answer = ask(program, &["read"], &[bytes], goes_on)?;
                believed(&answer.facts.unwrap_or_default(), bytes)
            }
            Self::InProcess => Ok(package::inspect(bytes)?),
        }
    }
}

/// What a child says of these bytes, of which nothing is taken that cannot be checked.
fn believed(facts: &[u8], bytes: &[u8]) -> Result<Package, PrepareError> {
    let package = Package::of_facts(facts, package::digest(bytes), bytes.len());
    package.ok_or_else(nothing)
}

fn nothing() -> PrepareError {
    PrepareError::Child("its answer makes no sense".to_owned())
}

/// A text that a child or a compiler gave, as a message carries it.
fn one_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|letter| !letter.is_control()).take(300).collect()
}
