//! A tool that is a program of this machine. It runs in a child that ends it, in a directory of its own and new, with nothing in its
//! environment but what its entry says. No shell comes near it.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use agentry_config::ConfigError;
use agentry_config::reader::Table;
use agentry_kernel::Permit;
use agentry_kernel::json::Value;
use agentry_store::limits::{TOOL_ERROR_MAX_BYTES, TOOL_ERROR_SHOWN_BYTES, TOOL_MEMORY_DEFAULT_MB, TOOL_MEMORY_MAX_MB};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::adapter::{Adapter, Reach, Wrong};
use super::answer::{self, Said};
use super::config::ToolLine;
use super::sandbox::{self, End, Order, Report};
use super::template::Template;

/// What a command finds programs by.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long the child may take to end everything, when the command's time is over.
const GRACE: Duration = Duration::from_secs(4);

/// The keys of `command`.
pub(super) const COMMAND_KEYS: [&str; 6] = ["program", "args", "stdin", "memory_mb", "env", "secrets"];

/// A program and what it is started with.
#[derive(Clone, Debug)]
pub(super) struct CommandLine {
    /// Its whole path.
    pub(super) program: PathBuf,
    /// Its words, with places for arguments.
    pub(super) args: Template,
    /// Whether the arguments are also on its standard input, as JSON.
    pub(super) stdin: bool,
    /// What its processes may have.
    pub(super) memory_bytes: u64,
    /// Its environment; it has no other.
    pub(super) env: BTreeMap<String, String>,
    /// Variables, and the handles of the secrets that they hold.
    pub(super) secrets: BTreeMap<String, String>,
}

/// Starts it.
struct Runner {
    line: Arc<CommandLine>,
    shared: Arc<Shared>,
}

impl Reach for CommandLine {
    fn adapter(self: Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Adapter> {
        Arc::new(Runner { line: self, shared: Arc::clone(shared) })
    }
}

impl Adapter for Runner {
    fn reach(&self) -> (&'static str, String) {
        ("command", self.line.program.display().to_string())
    }

    fn trouble(&self, tool: &ToolLine) -> Option<String> {
        let program = &self.line.program;
        let is_program =
            std::fs::metadata(program).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        if !is_program {
            let hint = "hint: `program` in tools.toml names a file that may be executed, whole: /usr/bin/…";
            return Some(format!("there is no program at {}\n{hint}", program.display()));
        }
        let mut handles = self.line.secrets.values();
        handles
            .find_map(|handle| self.shared.secrets.for_tool(handle, &tool.name).err())
            .map(|why| why.told(&format!("tool:{}", tool.name)))
    }

    fn call<'a>(
        &'a self,
        tool: &'a ToolLine,
        permit: &'a Permit,
        arguments: &'a Value,
        cut: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        run(&self.shared, (tool, &self.line), permit, arguments, cut).boxed()
    }
}

/// Where programs lie that people call by their name alone.
const PROGRAMS: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin"];

/// Reads `command = { … }` of a tool whose schema is this.
pub(super) fn read(table: &Table<'_>, _: &ToolLine, schema: &Value) -> Result<Arc<dyn Reach>, ConfigError> {
    table.only(&COMMAND_KEYS)?;
    let program = PathBuf::from(table.needs_text("program")?);
    if !program.is_absolute() {
        let near = PROGRAMS.iter().map(|place| Path::new(place).join(&program)).find(|there| there.is_file());
        let hint = near.map_or_else(
            || "write its whole path: nobody is to choose it by a variable of the environment".to_owned(),
            |there| format!("write `program = {there:?}`: nobody is to choose it by a variable of the environment"),
        );
        return Err(table.mistake_in("program", "the program has no absolute path", hint));
    }
    let mut args = Template::default();
    for words in table.texts_or_lists("args")? {
        args.push(&words).map_err(|why| table.mistake_in("args", why, "a brace itself is written twice"))?;
    }
    let known = |name: &str| schema.get("properties").is_some_and(|properties| properties.get(name).is_some());
    if let Some(unknown) = args.arguments().find(|name| !known(name)) {
        let hint = "a place in `args` is named after one of the schema's `properties`";
        return Err(table.mistake_in("args", format!("the schema has no property `{unknown}`"), hint));
    }
    let memory_mb = table.number("memory_mb", 1..TOOL_MEMORY_MAX_MB + 1)?.unwrap_or(TOOL_MEMORY_DEFAULT_MB);
    Ok(Arc::new(CommandLine {
        program,
        args,
        stdin: table.flag("stdin")?.unwrap_or(false),
        memory_bytes: memory_mb << 20,
        env: variables(table, "env")?,
        secrets: variables(table, "secrets")?,
    }))
}

/// Variables of the environment and what they hold.
fn variables(table: &Table<'_>, key: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let Some(inner) = table.get_table(key)? else { return Ok(BTreeMap::new()) };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let variable = |name: &str| {
        if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) || !name.bytes().all(known) {
            let hint = "use letters, digits and `_`";
            return Err(inner.mistake(format!("`{name}` cannot be a variable"), hint));
        }
        let value = inner.needs_text(name)?;
        if value.contains('\0') {
            return Err(inner.mistake_in(name, "a variable cannot hold a zero byte", "take it out"));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    inner.keys().map(variable).collect()
}

/// Runs it on these arguments.
async fn run(
    shared: &Shared,
    (tool, command): (&ToolLine, &CommandLine),
    permit: &Permit,
    arguments: &Value,
    cut: &CancellationToken,
) -> Result<Said, Wrong> {
    let words = command.args.fill(arguments).map_err(|unfit| Wrong::Unfit(unfit.to_string()))?;
    let Some(program) = &shared.program else {
        return Err(Wrong::NotBegun("this host starts no commands".to_owned()));
    };
    let turn = shared.commands.acquire();
    let _turn = tokio::select! {
        biased;
        () = cut.cancelled() => return Err(Wrong::Cancelled),
        turn = tokio::time::timeout(tool.timeout, turn) => turn.map_err(|_| Wrong::Busy)?.map_err(|_| Wrong::Busy)?,
    };
    let directory = Directory::new(&shared.place, &permit.key())
        .map_err(|error| Wrong::NotBegun(format!("its directory cannot be made: {error}")))?;
    let order = Order {
        program: command.program.clone(),
        words,
        env: environment(shared, tool, command, &directory.0)?,
        directory: directory.0.clone(),
        input: if command.stdin { arguments.to_string().into_bytes() } else { Vec::new() },
        timeout_ms: u64::try_from(tool.timeout.as_millis()).unwrap_or(u64::MAX),
        output_max_bytes: tool.output_max_bytes,
        memory_bytes: command.memory_bytes,
    };
    let report = carried_out(program, &order, tool.timeout, cut).await;
    // A command may leave much behind; nobody waits for that to be removed.
    tokio::task::spawn_blocking(move || drop(directory));
    said(shared, tool, report?)
}

/// All that is in its environment.
fn environment(
    shared: &Shared,
    tool: &ToolLine,
    command: &CommandLine,
    directory: &Path,
) -> Result<Vec<(String, String)>, Wrong> {
    let directory = directory.display().to_string();
    let given = [("PATH", PATH), ("HOME", &directory), ("TMPDIR", &directory), ("LANG", "C.UTF-8")];
    let mut env: BTreeMap<String, String> =
        given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    env.extend(command.env.clone());
    for (name, handle) in &command.secrets {
        let secret = shared.secrets.for_tool(handle, &tool.name).map_err(|why| Wrong::Withheld(why.to_string()))?;
        env.insert(name.clone(), secret.to_owned());
    }
    Ok(env.into_iter().collect())
}

async fn carried_out(
    program: &Path,
    order: &Order,
    timeout: Duration,
    cut: &CancellationToken,
) -> Result<Report, Wrong> {
    let broken = |error: io::Error| Wrong::NotBegun(error.to_string());
    let order_bytes = sandbox::framed(order).map_err(|error| broken(io::Error::other(error)))?;
    // Not killed when this future is dropped: it ends by itself when its pipe closes, and ends the command first.
    let mut child = Command::new(program)
        .arg(sandbox::VERB)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(broken)?;
    let room = order.output_max_bytes.saturating_add(TOOL_ERROR_MAX_BYTES).saturating_add(4096);
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(broken(io::Error::other("it has no pipes")));
    };
    let mut report = Vec::new();
    let mut reading = stdout.take(u64::try_from(room).unwrap_or(u64::MAX));
    let exchange = async {
        stdin.write_all(&order_bytes).await?;
        stdin.flush().await?;
        reading.read_to_end(&mut report).await
    };
    let ended = tokio::select! {
        biased;
        () = cut.cancelled() => None,
        ended = tokio::time::timeout(timeout.saturating_add(GRACE), exchange) => Some(ended),
    };
    drop(stdin);
    match ended {
        Some(Ok(Ok(_))) => {
            reaped(child).await;
            postcard::from_bytes(&report).map_err(|error| broken(io::Error::other(error)))
        }
        Some(Ok(Err(error))) => Err(broken(error)),
        // The closed pipe ends it; waiting for that keeps a stopped run from going on behind its own back.
        cut => {
            reaped(child).await;
            Err(if cut.is_none() { Wrong::Cancelled } else { Wrong::TimedOut })
        }
    }
}

async fn reaped(mut child: Child) {
    if tokio::time::timeout(GRACE, child.wait()).await.is_ok() {
        return;
    }
    // Its program has stopped it, or the machine is very slow: nothing of either goes on behind the host's back.
    if let Some(stuck) = child.id() {
        let _ = tokio::task::spawn_blocking(move || sandbox::end_stuck(stuck)).await;
    }
    // The runtime reaps it.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

fn said(shared: &Shared, tool: &ToolLine, report: Report) -> Result<Said, Wrong> {
    let failed = |why: String| Ok(Said { failed: true, parts: vec![answer::text(why)], egress_bytes: 0 });
    match report.end {
        End::Exited(0) => Ok(Said {
            failed: false,
            parts: vec![answer::part(shared.secrets.scrub().bytes(report.output), None)],
            egress_bytes: 0,
        }),
        End::Exited(code) => {
            let error = shared.secrets.scrub().text(&String::from_utf8_lossy(&report.error));
            let shown = error.get(..error.floor_char_boundary(TOOL_ERROR_SHOWN_BYTES)).unwrap_or_default();
            failed(format!("it ended with code {code}: {}", shown.trim()))
        }
        End::Signalled(signal) => failed(format!("it was ended by signal {signal}")),
        End::TooLong => failed(format!("it said more than {} bytes", tool.output_max_bytes)),
        End::TooMany => failed("it began more processes than it may".to_owned()),
        End::TimedOut => Err(Wrong::TimedOut),
        End::Stopped => Err(Wrong::Cancelled),
        End::NotBegun(why) => Err(Wrong::NotBegun(why)),
    }
}

/// A directory of one call: new, and gone when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(place: &Path, name: &str) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder.recursive(true).create(place)?;
        let path = place.join(name);
        builder.recursive(false).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed now is, when the host opens its home again.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
