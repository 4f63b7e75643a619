//! `agentry inspect`: what a package is and asks for. It reads the file and runs nothing of it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use agentry_engine::package::Package;
use agentry_kernel::manifest::{Manifest, Wants};
use agentry_kernel::policy::Grant;
use agentry_kernel::rights::Access;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::packages::needs;
use crate::exit::Exit;
use crate::home::{self, HomeArgs};
use crate::package;
use crate::screen::{self, BOLD, DIM, styled, text, units};

/// Shows what a package is and asks for, with its reasons; runs nothing of it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry inspect researcher.wasm
  agentry inspect researcher.wasm --grant > policies/50-researcher.toml   # then read it, line by line")]
pub struct Args {
    /// The component: a file, or the name of an agent of the home
    #[arg(value_name = "AGENT|FILE.wasm")]
    file: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a grant made from what the package asks for, to be reviewed and saved as a policy
    #[arg(long, conflicts_with = "json")]
    grant: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the package and prints it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let about = || text::line(&args.file);
    let file = component(args)?;
    home::is_there(&file)?;
    let bytes = agentry_engine::package::read(&file)?;
    let package = package::of(&bytes).with_context(about)?;
    if args.grant {
        screen::print(&text::ours(&Grant::draft(&package.manifest, None)))?;
    } else if args.json {
        screen::print_json(&as_json(&package))?;
    } else {
        screen::page(&page(&package))?;
    }
    Ok(Exit::Done.into())
}

/// The file that is meant: whatever can be opened as it is, else what the home calls so.
fn component(args: &Args) -> Result<PathBuf> {
    let file = PathBuf::from(&args.file);
    if file.exists() { Ok(file) } else { args.home.resolve()?.component(&args.file) }
}

fn as_json(package: &Package) -> Value {
    let imports = package.imports.iter();
    let imports: Vec<Value> = imports.map(|i| json!({"interface": i.interface, "functions": i.functions})).collect();
    json!({
        "digest": package.digest.to_string(),
        "bytes": package.bytes,
        "manifest": package.manifest,
        "imports": imports,
        "unused": package.unused,
    })
}

fn page(package: &Package) -> String {
    let manifest = &package.manifest;
    let mut page = format!("{} {}", styled(BOLD, text::line(&manifest.name)), text::line(&manifest.version));
    if !manifest.description.is_empty() {
        let _ = write!(page, "\n  {}", text::cut(&manifest.description, 400));
    }
    if let Some(licence) = &manifest.licence {
        let _ = write!(page, "\n  licence: {}", text::cut(licence, 200));
    }
    let _ = write!(
        page,
        "\n  {}\n",
        styled(DIM, format!("{}, sha256 {}", units::bytes(package.bytes as u64), package.digest))
    );
    page.push_str(&section("asks for", &wants(&manifest.wants)));
    if !manifest.requires.is_empty() {
        page.push_str(&section("requires beside it", &requires(manifest)));
    }
    page.push_str(&section("suggests as its budget", &budget(manifest)));
    for (title, schema) in
        [("takes as its input", &manifest.input_schema), ("gives as its output", &manifest.output_schema)]
    {
        if let Some(schema) = schema {
            page.push_str(&section(title, &schema.lines().map(text::line).collect::<Vec<_>>()));
        }
    }
    if manifest.input_schema.is_none() {
        page.push_str(&section("takes", &["any JSON: it does not say of what its input is made".to_owned()]));
    }
    page.push_str(&section("imports", &imports(package)));
    if !package.unused.is_empty() {
        let unused = text::line(&package.unused.join(", "));
        let _ = writeln!(page, "\n{}: it asks for {unused}, and its code calls none of it", styled(BOLD, "note"));
    }
    page
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("\n{}\n  nothing\n", styled(BOLD, title));
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("\n{}\n{lines}", styled(BOLD, title))
}

fn wants(wants: &Wants) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: &str, what: String, why: &str, optional: bool| {
        let optional = if optional { " (works without)" } else { "" };
        lines.push(format!("{name:<8} {}{optional}", text::line(&what)));
        lines.push(format!("         {}", styled(DIM, text::cut(why, 400))));
    };
    if let Some(llm) = &wants.llm {
        let longest =
            llm.max_tokens.map_or(String::new(), |most| format!(", at most {} tokens an answer", units::count(most)));
        let needs = if llm.needs_something() { format!(", {}", needs(llm)) } else { String::new() };
        add("llm", format!("models {}{longest}{needs}", llm.models.join(", ")), &llm.why, llm.optional);
    }
    if let Some(memory) = &wants.memory {
        let all = |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
        let parts: Vec<String> = all("read", &memory.read).into_iter().chain(all("write", &memory.write)).collect();
        add("memory", parts.join("; "), &memory.why, memory.optional);
    }
    for files in &wants.files {
        let access = if files.access == Access::Read { "read" } else { "read and write" };
        add("files", format!("{access} root `{}`", files.root), &files.why, files.optional);
    }
    for tool in &wants.tools {
        add("tools", tool.tool.clone(), &tool.why, tool.optional);
    }
    if let Some(http) = &wants.http {
        let hosts = if http.hosts.is_empty() { "whatever hosts you grant".to_owned() } else { http.hosts.join(", ") };
        let by = if http.methods.is_empty() { String::new() } else { format!(" by {}", http.methods.join(", ")) };
        let hosts = format!("{hosts}{by}");
        add("http", hosts, &http.why, http.optional);
    }
    for secret in &wants.secrets {
        let what = format!("`{}` of the home, to {}", secret.handle, secret.only_to);
        add("secrets", what, &secret.why, secret.optional);
    }
    if let Some(human) = &wants.human {
        add("human", "ask people and tell them".to_owned(), &human.why, human.optional);
    }
    if let Some(agents) = &wants.agents {
        let lists = [("calls", &agents.call), ("writes to", &agents.send), ("takes letters of", &agents.receive)];
        let named = lists.iter().filter(|(_, list)| !list.is_empty());
        let named: Vec<_> = named.map(|(verb, list)| format!("{verb} {}", list.join(", "))).collect();
        let what = if named.is_empty() { "whatever agents you grant".to_owned() } else { named.join("; ") };
        add("agents", what, &agents.why, agents.optional);
    }
    if let Some(context) = &wants.context {
        add("context", "not to be had in this version".to_owned(), &context.why, context.optional);
    }
    lines
}

fn requires(manifest: &Manifest) -> Vec<String> {
    let lines = manifest.requires.iter().zip(manifest.requirements()).flat_map(|(requires, what)| {
        [text::line(&what.to_string()), format!("         {}", styled(DIM, text::cut(&requires.why, 400)))]
    });
    lines.collect()
}

fn budget(manifest: &Manifest) -> Vec<String> {
    let amount = |amount| serde_json::to_string(amount).unwrap_or_default();
    manifest.budget.iter().map(|(key, value)| text::line(&format!("{key} = {}", amount(value)))).collect()
}

/// The table's interfaces by function; WASI, which this host makes up, in one line.
fn imports(package: &Package) -> Vec<String> {
    let (table, wasi): (Vec<_>, Vec<_>) = package.imports.iter().partition(|import| import.table_name().is_some());
    let with_functions = table.iter().filter(|import| !import.functions.is_empty());
    let mut lines: Vec<String> = with_functions
        .map(|import| format!("{:<8} {}", import.table_name().unwrap_or_default(), import.functions.join(", ")))
        .map(|line| text::line(&line))
        .collect();
    let (refused, virtual_ones): (Vec<_>, Vec<_>) = wasi.into_iter().partition(|import| import.is_refused());
    let mut add = |imports: Vec<_>, what: &str| {
        if !imports.is_empty() {
            lines.push(format!("wasi     {}, {what}", units::plural(imports.len() as u64, "interface")));
        }
    };
    add(virtual_ones, "all virtual: they reach nothing");
    add(refused, "of sockets: every connection and name lookup is refused");
    lines
}
