//! A home of its own for each test, with a policy, roots and a scripted model; and what came of a run there.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything here may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(120);

/// One home. It is gone when the test is.
pub struct Stage {
    place: TempDir,
}

/// What came of a command.
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// The command under test.
pub fn agentry() -> Command {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/agentry");
    let mut command = Command::new(std::env::var_os("AGENTRY_BIN").map_or(built, PathBuf::from));
    // What the machine is set up with is none of a test's business.
    command.env_remove("AGENTRY_HOME").env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

const CONFIG: &str = "home/agentry.toml";

/// What all homes are to say of what stands between agents and their host, which no test but those of `workers.rs` may notice: a question of its
/// own, which `AGENTRY_ISOLATED=none cargo test` answers. Without it, homes say nothing of it, and have processes for agents.
fn isolated() -> Option<String> {
    std::env::var("AGENTRY_ISOLATED").ok()
}

/// This configuration, and that.
fn isolating(text: &str, isolation: &str) -> String {
    const ENGINE: &str = "[engine]\n";
    let said = format!("{ENGINE}isolation = \"{isolation}\"\n");
    if text.contains(ENGINE) { text.replacen(ENGINE, &said, 1) } else { format!("{text}\n{said}") }
}

/// A component of `tests/guests`, built by `cargo xtask guests`.
pub fn guest(name: &str) -> PathBuf {
    built("test-guests", name)
}

/// A component of `example-agents`.
pub fn example(name: &str) -> PathBuf {
    built("guests", name)
}

/// A file or directory of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn built(directory: &str, name: &str) -> PathBuf {
    let target = std::env::var_os("AGENTRY_BIN").map(PathBuf::from);
    let target = target.and_then(|bin| Some(bin.parent()?.parent()?.to_path_buf()));
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    let path = target.join(directory).join(format!("{}.wasm", name.replace('_', "-")));
    assert!(path.exists(), "{} is not built: cargo xtask guests", path.display());
    path
}

/// A command that runs.
pub struct Running {
    child: Child,
    begun: Instant,
}

/// Starts a command.
pub fn begin(command: &mut Command) -> Running {
    let begun = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    Running { child, begun }
}

/// Runs a command to its end, or kills it when nobody would wait any longer.
pub fn end(command: &mut Command) -> Ended {
    begin(command).end()
}

impl Running {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has come to its end by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().is_ok_and(|status| status.success()), "it is gone");
    }

    /// What a crash does: no goodbye, and it is gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it is gone");
    }

    /// Waits for its end, or kills it when nobody would wait any longer.
    pub fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits for its end, or kills it after `patience`.
    pub fn end_within(self, patience: Duration) -> Ended {
        let Self { child, begun } = self;
        let pid = child.id().to_string();
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let watch = std::thread::spawn(move || {
            if waits.recv_timeout(patience).is_err_and(|why| why == std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        });
        let output = child.wait_with_output().expect("the command ends");
        drop(done);
        watch.join().expect("the watch ends");
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
            took: begun.elapsed(),
        }
    }
}

impl Stage {
    /// An empty home.
    pub fn new() -> Self {
        let place = TempDir::new().expect("there is room for a home");
        fs::create_dir_all(place.path().join("home/policies")).expect("a directory");
        let stage = Self { place };
        if isolated().is_some() {
            stage.write(CONFIG, "format = 1\n");
        }
        stage
    }

    /// Runs a command, none of whose words has a space, at a terminal where a person types these lines.
    pub fn at_a_terminal(&self, command: &Command, lines: &str) -> Ended {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let typed = self.write("typed", lines);
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &words.join(" "), "/dev/null"]);
        end(terminal.env("NO_COLOR", "1").stdin(fs::File::open(typed).expect("a file")))
    }

    /// A home in which this component is granted the model, its memory and this budget, and no files.
    pub fn granting(component: &Path) -> Self {
        Self::granting_within(component, "")
    }

    /// The same, with more lines of `[budget]`.
    pub fn granting_within(component: &Path, budget: &str) -> Self {
        let agent = component.file_stem().and_then(|name| name.to_str()).expect("a component has a name");
        let stage = Self::new();
        stage.policy(&format!(
            "format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\n\
             llm = {{ models = [\"*\"], max_tokens = 1000 }}\n\
             memory = {{ read = [\"agent/test/**\"], write = [\"agent/test/**\"] }}\n\
             [budget]\n{budget}\n"
        ));
        stage
    }

    /// The books, but for how long it is until they refill.
    pub fn budget(&self) -> Value {
        fn still(books: Value) -> Value {
            match books {
                Value::Object(map) => {
                    let kept = map.into_iter().filter(|(key, _)| key != "refills_in_s");
                    kept.map(|(key, value)| (key, still(value))).collect()
                }
                Value::Array(list) => list.into_iter().map(still).collect(),
                other => other,
            }
        }
        still(end(self.agentry("budget").arg("--json")).with(0).json())
    }

    /// A home whose one grant is what `inspect --grant` drafts for this component.
    pub fn drafting(component: &Path) -> Self {
        let draft = end(agentry().arg("inspect").arg(component).arg("--grant")).with(0);
        let stage = Self::new();
        stage.policy(&draft.stdout);
        stage
    }

    /// Writes the one grant of this home.
    pub fn policy(&self, text: &str) {
        let file = self.write("home/policies/50-grant.toml", text);
        for path in [self.home().join("policies"), file] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
    }

    /// Writes the grant of this agent beside those of others: these lines below its head.
    pub fn grant(&self, agent: &str, rights: &str) {
        let text = format!("format = 1\nlayer = \"grant\"\nagent = \"{agent}\"\n{rights}");
        let file = self.write(&format!("home/policies/50-{agent}.toml"), &text);
        for (path, mode) in [(self.home().join("policies"), 0o755), (file, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
    }

    /// The home.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A path beside or in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Writes a file beside or in the home, and gives its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it lies in the place")).expect("a directory");
        let isolated = isolated().filter(|_| name == CONFIG && !text.contains("isolation"));
        let isolated = isolated.map(|isolation| isolating(text, &isolation));
        fs::write(&path, isolated.as_deref().unwrap_or(text)).expect("a file");
        path
    }

    /// An empty directory beside the home.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// `agentry VERB --home HOME`.
    pub fn agentry(&self, verb: &str) -> Command {
        let mut command = agentry();
        command.args(verb.split(' ')).arg("--home").arg(self.home());
        command
    }

    /// `agentry run COMPONENT --json` in this home.
    pub fn run(&self, component: &Path, input: &Value) -> Command {
        let mut run = self.agentry("run");
        run.arg(component).arg("--json").args(["--input", &input.to_string()]);
        run
    }

    /// The same on a scripted model whose answers are these lines.
    pub fn run_on(&self, script: &str, component: &Path, input: &Value) -> Command {
        let script = self.write("script.jsonl", script);
        let mut run = self.run(component, input);
        run.arg("--model").arg(format!("scripted:{}", script.display()));
        run
    }

    /// The syscalls of the last run, as `trace` shows them.
    pub fn calls(&self) -> Vec<Value> {
        let trace = end(self.agentry("trace").args(["last", "--json"])).json();
        trace["calls"].as_array().expect("a trace has calls").clone()
    }

    /// Every run of this home that began does the same when it is executed again.
    pub fn replays(&self) {
        let runs = end(self.agentry("ps").args(["--json", "--limit", "100000"])).json();
        for run in runs.as_array().expect("a list").iter().filter(|run| run["status"] != "running") {
            let id = run["run"].as_str().expect("an id");
            let replay = end(self.agentry("replay").args([id, "--json"]));
            if !replay.stderr.contains("never began") {
                let found = replay.json();
                assert!(replay.code == 0 && found["same"] == true, "{found}\n{run}");
            }
        }
    }

    /// Executes every run of this home again and writes into this file what comes of each: whether a run of any test at all differs is a
    /// question of its own, which `AGENTRY_REPLAY_ALL=FILE cargo test` answers.
    fn replay_all(&self, list: &OsStr) {
        let ps = end(self.agentry("ps").args(["--json", "--limit", "100000"]));
        let runs: Value = serde_json::from_str(&ps.stdout).unwrap_or_default();
        let mut lines = String::new();
        for run in runs.as_array().into_iter().flatten().filter(|run| run["status"] != "running") {
            let (id, agent) = (run["run"].as_str().unwrap_or_default(), &run["agent"]);
            let replay = end(self.agentry("replay").args([id, "--json"]));
            let found: Value = serde_json::from_str(&replay.stdout).unwrap_or_default();
            lines.push_str(&match found["same"].as_bool() {
                Some(true) => format!("same {}\n", found["calls"]),
                Some(false) => format!("other {agent} {found}\n"),
                None => format!("none {agent} {}\n", replay.stderr.lines().next().unwrap_or_default()),
            });
            lines.push_str(&self.moves(id));
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(list);
        file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("the list of what was executed again");
    }

    /// Whether a run that is left behind moves to another home as a file.
    fn moves(&self, run: &str) -> String {
        let home = tempfile::tempdir().expect("a place for another home");
        let file = home.path().join("run.agentry");
        let exported = end(self.agentry("export").arg(run).arg("--out").arg(&file));
        if exported.code != 0 {
            return format!("stays {}\n", exported.stderr.lines().next().unwrap_or_default());
        }
        let imported = end(agentry().arg("import").arg(&file).arg("--home").arg(home.path().join("home")));
        match imported.code {
            0 => "moves\n".to_owned(),
            _ => format!("refused {}\n", imported.stderr.lines().next().unwrap_or_default()),
        }
    }

    /// The last run, as `ps` shows it.
    pub fn last(&self) -> Value {
        let runs = end(self.agentry("ps").arg("--json")).json();
        runs[0].clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(list) = std::env::var_os("AGENTRY_REPLAY_ALL").filter(|_| !std::thread::panicking()) {
            self.replay_all(&list);
        }
    }
}

impl Ended {
    /// Stdout, which is one JSON document and nothing else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: stdout is not one document:\n{}\n{}", self.stdout, self.stderr))
    }

    /// Fails unless it ended with this code; gives itself.
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless it said what is wrong in one line, with a hint below; between both may stand the line of a file that it is about.
    pub fn complains(&self, of: &str) {
        // What lasts over a second is told before.
        let mut lines = self.stderr.lines().skip_while(|line| line.starts_with("… "));
        let error = lines.next().unwrap_or_default();
        assert!(error.starts_with("error: ") && error.contains(of), "no line with `{of}`:\n{}", self.stderr);
        assert!(!error.ends_with('.'), "an error is no sentence: {error}");
        let mut below = lines.skip_while(|line| line.starts_with("  ") && line.contains(" | "));
        assert!(below.next().is_some_and(|line| line.starts_with("hint: ")), "no hint:\n{}", self.stderr);
    }
}

/// Writes down that a test did not run; in CI that is a failure.
pub fn skip(test: &str, why: &str) {
    eprintln!("skipped {test}: {why}");
    if let Some(list) = std::env::var_os("AGENTRY_SKIPPED") {
        let mut list = fs::OpenOptions::new().create(true).append(true).open(list).expect("the list of skipped tests");
        writeln!(list, "{test}: {why}").expect("the list of skipped tests");
    }
}
