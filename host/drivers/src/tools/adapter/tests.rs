//! What an adapter that another program brings is held to, and which tools it cannot bring.

use std::collections::BTreeMap;
use std::time::Duration;

use agentry_kernel::json;
use agentry_kernel::tool::Effect;

use super::*;
use crate::fixture::with_permit;
use crate::tools::Tools;
use crate::tools::config::ToolsConfig;

/// Says so many bytes, or nothing ever.
struct Foreign(Option<usize>);

impl Adapter for Foreign {
    fn reach(&self) -> (&'static str, String) {
        ("foreign", String::new())
    }

    fn call<'a>(
        &'a self,
        _: &'a ToolLine,
        _: &'a Permit,
        _: &'a Value,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        match self.0 {
            Some(bytes) => std::future::ready(Ok(Said::text("x".repeat(bytes)))).boxed(),
            None => std::future::pending().boxed(),
        }
    }
}

fn tool() -> ToolLine {
    ToolLine { timeout: Duration::from_millis(20), ..ToolLine::new("own", "For a test.", Effect::Read) }
}

fn called(foreign: Foreign, cut: &CancellationToken) -> Result<Said, Wrong> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (arguments, bounded) = (json::parse("{}").expect("JSON"), Bounded(Arc::new(foreign)));
    with_permit(|permit| runtime.block_on(bounded.call(&tool(), permit, &arguments, cut)))
}

#[test]
fn an_adapter_of_another_program_has_its_time_and_its_length_and_can_be_cut() {
    let cut = CancellationToken::new();
    let max = tool().output_max_bytes;
    assert_eq!(called(Foreign(Some(max)), &cut), Ok(Said::text("x".repeat(max))));
    let told = called(Foreign(Some(max + 1)), &cut).expect("it said something");
    assert!(told.failed && told.parts == [answer::text(format!("it said more than {max} bytes"))]);
    assert_eq!(called(Foreign(None), &cut), Err(Wrong::TimedOut));
    cut.cancel();
    assert_eq!(called(Foreign(Some(1)), &cut), Err(Wrong::Cancelled));
}

#[test]
fn a_tool_of_another_program_that_makes_no_sense_is_not_added() {
    let tools = Tools::registered(&[], BTreeMap::new(), ToolsConfig::default());
    let with = |all: Vec<ToolLine>| {
        let foreign = |tool| (tool, Arc::new(Foreign(None)) as Arc<dyn Adapter>);
        tools.with_own(all.into_iter().map(foreign).collect())
    };
    let schema = |schema: &str| ToolLine { schema: schema.to_owned(), ..tool() };
    for (wrong, why) in [
        (ToolLine { name: "own tool".to_owned(), ..tool() }, "a name has letters"),
        (ToolLine { timeout: Duration::ZERO, ..tool() }, "its timeout"),
        (ToolLine { output_max_bytes: 0, ..tool() }, "its answers"),
        (schema("{"), "is not JSON"),
        (schema("{\"type\": \"string\"}"), "not of an object"),
        (schema("{\"type\": \"object\", \"properties\": 1}"), "its schema is none"),
    ] {
        let told = with(vec![wrong]).map(drop).expect_err(why);
        assert!(told.to_string().contains(why), "{told}");
    }
    assert!(with(vec![tool(), tool()]).map(drop).expect_err("twice").why.contains("of this name"));
    assert_eq!(tools.kernel_tools().len(), 0);
    tools.put(with(vec![tool()]).expect("it makes sense"));
    assert_eq!(tools.get("own").map(|entry| entry.reach().0), Some("foreign"));
}

#[test]
fn a_tool_of_which_the_same_is_said_stays_what_it_was_and_any_other_is_another_one() {
    let file = |description: &str| {
        let text = format!(
            "format = 1\n[tools.clock]\ndescription = \"{description}\"\neffect = \"read\"\nschema = '{{\"type\": \"object\"}}'\nclock = {{}}\n"
        );
        ToolsConfig::parse("tools.toml", &text).expect("it makes sense")
    };
    let tools = Tools::registered(&[], BTreeMap::new(), file("Tells the time."));
    let own: Arc<dyn Adapter> = Arc::new(Foreign(None));
    tools.put(tools.with_own(vec![(tool(), Arc::clone(&own))]).expect("it makes sense"));
    let (clock, mine) = (tools.get("clock").expect("of the file"), tools.get("own").expect("of the program"));
    let before = tools.kernel_tools();
    tools.put(tools.with_file(file("Tells the time.")).expect("the same"));
    tools.put(tools.with_own(vec![(tool(), own)]).expect("the same"));
    assert!(tools.has(&clock) && tools.has(&mine) && tools.kernel_tools() == before);
    tools.put(tools.with_file(file("Says how late it is.")).expect("another"));
    assert!(!tools.has(&clock) && tools.has(&mine) && tools.kernel_tools() != before);
    tools.put(tools.with_own(vec![(tool(), Arc::new(Foreign(None)))]).expect("another adapter"));
    assert!(!tools.has(&mine), "what an adapter does cannot be read off it");
    let named = vec![(ToolLine { name: "clock".to_owned(), ..tool() }, Arc::new(Foreign(None)) as Arc<dyn Adapter>)];
    assert!(tools.with_own(named).map(drop).expect_err("it is the file's").why.contains("of this name"));
    tools.put(tools.with_file(ToolsConfig::default()).expect("none"));
    assert!(tools.get("clock").is_none() && tools.get("own").is_some());
}
