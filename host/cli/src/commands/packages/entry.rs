//! Entry points of an agent that is installed: a command of its own, and an entry in the menu of a desktop. Each is `agentry run` in the home that
//! it was made in and may do no more than that; no text of an agent stands in one. None takes the place of anything but itself.

use std::env;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use agentry_packages::Fault;
use anyhow::{Context, Result};
use etcetera::BaseStrategy;
use rustix::fs::Access;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::home::{Home, can_write};
use crate::screen::text;

/// What is read of a file to see whether it is an entry point: more than one has.
const READ_MAX_BYTES: u64 = 64 * 1024;

/// Where commands of a system lie, also for whoever has no PATH at the moment.
const SYSTEM: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Words that a shell takes for its own, as far as an agent may have such a name; and this command.
const OF_THE_SHELL: [&str; 52] = [
    "agentry", "alias", "bg", "bind", "break", "builtin", "case", "cd", "command", "compgen", "complete", "continue",
    "coproc", "declare", "dirs", "disown", "do", "done", "elif", "else", "enable", "esac", "eval", "exec", "exit",
    "export", "fc", "fg", "fi", "for", "function", "getopts", "hash", "help", "history", "if", "in", "jobs", "let",
    "local", "logout", "read", "return", "select", "set", "shift", "source", "then", "trap", "type", "until", "while",
];

/// The line of a script that names this program, which may lie elsewhere another time.
const PROGRAM: &str = "program=";

/// What an agent is started by.
pub struct Entry {
    agent: String,
    command: PathBuf,
    script: String,
    menu: PathBuf,
    desktop: String,
}

impl Entry {
    /// The entry points of this agent in this home. Nothing is looked at.
    ///
    /// # Errors
    /// If they cannot be named in a script.
    pub fn at(home: &Home, agent: &str) -> Result<Self> {
        let own = || Some((etcetera::home_dir().ok()?, etcetera::choose_base_strategy().ok()?.data_dir()));
        let (own, data) = own().context("cannot tell where your own programs are\nhint: set HOME")?;
        let command = own.join(".local/bin").join(agent);
        let menu = data.join("applications").join(format!("agentry-{agent}.desktop"));
        let home = home.path().canonicalize().with_context(|| format!("cannot find {}", shown(home.path())))?;
        let program = env::current_exe().context("cannot find this program")?;
        let script = script(agent, plain(&home)?, plain(&program)?);
        let desktop = desktop(agent, plain(&home)?, plain(&command)?);
        plain(&menu)?;
        Ok(Self { agent: agent.to_owned(), command, script, menu, desktop })
    }

    /// Whether they may be made: nothing else has the name of the command or lies where they would, and they can be written.
    ///
    /// # Errors
    /// If not.
    pub fn is_free(&self) -> Result<()> {
        for (place, text) in self.both() {
            if fs::symlink_metadata(place).is_ok() && !is(place, text) {
                let hint = "move that file away, or leave --bin out";
                return Err(
                    Fault::usage(format!("{} is there already and is something else", shown(place)), hint).into()
                );
            }
            can_be_made(place)?;
        }
        let agent = &self.agent;
        let refused = |message: String| Fault::usage(message, "leave --bin out: no agent takes the place of a command");
        if OF_THE_SHELL.contains(&agent.as_str()) {
            return Err(refused(format!("`{agent}` means something else to a shell")).into());
        }
        match self.other_command() {
            Some(other) => Err(refused(format!("there is a command `{agent}` already: {}", shown(&other))).into()),
            None => Ok(()),
        }
    }

    /// Writes them, each whole or not at all, and says where they are.
    ///
    /// # Errors
    /// If one cannot be written, or something else came there meanwhile.
    pub fn place(&self) -> Result<Value> {
        write(&self.command, &self.script, 0o755)?;
        write(&self.menu, &self.desktop, 0o644)?;
        Ok(json!({"command": shown(&self.command), "menu": shown(&self.menu)}))
    }

    /// What there is now, in lines for a person.
    pub fn page(&self) -> String {
        let (command, menu) = (shown(&self.command), shown(&self.menu));
        let mut page = format!("  its command: {command}\n  its entry in the menu: {menu}\n");
        let path = env::var_os("PATH").unwrap_or_default();
        let is_it = |one: PathBuf, own: &Path| one.canonicalize().ok() == own.canonicalize().ok();
        let own = self.command.parent();
        if let Some(directory) = own.filter(|own| !env::split_paths(&path).any(|one| is_it(one, own))) {
            let export = format!("export PATH={}:$PATH", text::word(directory.display()));
            page.push_str(&format!("  your shell does not look there yet: {export}\n"));
        }
        page
    }

    /// Takes away what was made. What somebody changed or put there stays.
    ///
    /// # Errors
    /// If a file cannot be taken away; the other one is nevertheless.
    pub fn remove(&self) -> Result<bool> {
        let (mut removed, mut failed) = (false, None);
        for (place, _) in self.both().into_iter().filter(|(place, text)| is(place, text)) {
            match fs::remove_file(place).with_context(|| format!("cannot take {} away", shown(place))) {
                Ok(()) => removed = true,
                Err(why) => failed = Some(why),
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    fn both(&self) -> [(&Path, &str); 2] {
        [(&self.command, &self.script), (&self.menu, &self.desktop)]
    }

    /// A program of this name that a shell would find, and that is not this entry point.
    fn other_command(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let system = SYSTEM.iter().map(PathBuf::from);
        let places: Vec<PathBuf> = env::split_paths(&path).chain(system).map(|place| place.join(&self.agent)).collect();
        let mut programs = places.into_iter().filter(|place| place.is_file() && !is(place, &self.script));
        programs.find(|place| rustix::fs::access(place, Access::EXEC_OK).is_ok())
    }
}

/// A path that means the same in a script as here.
fn plain(path: &Path) -> Result<&str> {
    let text = path.to_str().filter(|text| path.is_absolute() && text::line(text) == **text);
    text.with_context(|| format!("{} cannot stand in a script\nhint: leave --bin out", shown(path)))
}

/// Whether this file is this entry point, as it was written by a program that may lie elsewhere.
fn is(place: &Path, text: &str) -> bool {
    let mut found = String::new();
    let mut read = || fs::File::open(place)?.take(READ_MAX_BYTES).read_to_string(&mut found);
    let is_file = fs::symlink_metadata(place).is_ok_and(|is| is.is_file());
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with(PROGRAM)).map(str::to_owned).collect()
    };
    is_file && read().is_ok() && lines(&found) == lines(text)
}

/// That a file can be written there, in a directory that may have to be made.
fn can_be_made(place: &Path) -> Result<()> {
    let above = place.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok());
    let failed = || format!("cannot write {}", shown(place));
    let above = above.with_context(failed)?;
    if !above.is_dir() {
        let message = format!("{}: {} is no directory", failed(), shown(above));
        return Err(Fault::usage(message, "move it away, or leave --bin out").into());
    }
    can_write(above).with_context(failed)
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn script(agent: &str, home: &str, program: &str) -> String {
    let (home, program) = (quoted(home), quoted(program));
    format!(
        "#!/bin/sh\n# Made by `agentry install --bin`; `agentry uninstall` takes it away unless it was changed.\n{PROGRAM}{program}\n\
         [ -x \"$program\" ] || program=agentry\nexec \"$program\" run --home {home} {agent} \"$@\"\n"
    )
}

/// As the Desktop Entry Specification has it (<https://specifications.freedesktop.org/desktop-entry-spec/latest/>); readers that know 1.0 know all of it.
fn desktop(agent: &str, home: &str, command: &str) -> String {
    let mut exec = String::new();
    for char in command.chars() {
        match char {
            // Quoted once for the command and once for the file.
            '"' | '`' | '$' => exec.extend([r"\\", char.encode_utf8(&mut [0; 4])]),
            '\\' => exec.push_str(r"\\\\"),
            '%' => exec.push_str("%%"),
            _ => exec.push(char),
        }
    }
    format!(
        "[Desktop Entry]\n# Of the home {home}\nVersion=1.0\nType=Application\nName={agent}\nComment=An agent that is installed here\n\
         Exec=\"{exec}\" --window\nTerminal=true\nCategories=Utility;\n"
    )
}

/// Puts a text there: in place of nothing, or of the same entry point.
fn write(place: &Path, text: &str, mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", shown(place));
    let directory = place.parent().with_context(failed)?;
    fs::create_dir_all(directory).with_context(failed)?;
    let mut file = NamedTempFile::new_in(directory).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.as_file().set_permissions(Permissions::from_mode(mode)).with_context(failed)?;
    let placed = if is(place, text) { file.persist(place) } else { file.persist_noclobber(place) };
    placed.with_context(failed)?;
    Ok(())
}

fn shown(path: &Path) -> String {
    text::line(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_one_word() {
        assert_eq!(quoted("/srv/o'brien/it is $HOME"), r"'/srv/o'\''brien/it is $HOME'");
    }
}
