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
    let mut tools = Tools::registered(&[], BTreeMap::new(), ToolsConfig::default());
    let schema = |schema: &str| ToolLine { schema: schema.to_owned(), ..tool() };
    for (wrong, why) in [
        (ToolLine { name: "own tool".to_owned(), ..tool() }, "a name has letters"),
        (ToolLine { timeout: Duration::ZERO, ..tool() }, "its timeout"),
        (ToolLine { output_max_bytes: 0, ..tool() }, "its answers"),
        (schema("{"), "is not JSON"),
        (schema("{\"type\": \"string\"}"), "not of an object"),
        (schema("{\"type\": \"object\", \"properties\": 1}"), "its schema is none"),
    ] {
        let told = tools.add(wrong, Arc::new(Foreign(None))).expect_err(why);
        assert!(told.to_string().contains(why), "{told}");
    }
    assert_eq!(tools.kernel_tools().len(), 0);
    tools.add(tool(), Arc::new(Foreign(None))).expect("it makes sense");
    assert!(tools.add(tool(), Arc::new(Foreign(None))).expect_err("twice").why.contains("of this name"));
    assert_eq!(tools.get("own").map(|entry| entry.reach().0), Some("foreign"));
}
