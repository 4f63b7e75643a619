// Reads a file, asks for an answer of a schema, keeps it, and fails with a cause.
// Justification: the table must be callable from a language with a scheduler and a collector of its own.

package export_wit_world

import (
	"encoding/json"
	"fmt"

	types "go.bytecodealliance.org/pkg/wit/types"
	"wit_component/agentry_agent_files"
	"wit_component/agentry_agent_llm"
	"wit_component/agentry_agent_memory"
	"wit_component/agentry_agent_outcome"
	"wit_component/agentry_agent_types"
)

const schema = `{"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}`

type ended = types.Result[string, agentry_agent_outcome.Failure]

func fail(message string, cause agentry_agent_types.Error) ended {
	failure := agentry_agent_outcome.Failure{Message: message, Cause: types.Some(cause)}
	return types.Err[string](failure)
}

func ask(prompt string) agentry_agent_llm.Request {
	parts := []agentry_agent_llm.Part{agentry_agent_llm.MakePartText(prompt)}
	return agentry_agent_llm.Request{
		Model:           "default",
		Messages:        []agentry_agent_llm.Message{{Role: agentry_agent_llm.Role_User, Parts: parts}},
		ToolChoice:      agentry_agent_llm.MakeToolChoiceAutomatic(),
		Output:          agentry_agent_llm.MakeOutputFormSchema(schema),
		MaxOutputTokens: types.Some[uint32](64),
		Temperature:     types.None[float32](),
		TopP:            types.None[float32](),
		Seed:            types.None[uint64](),
		Effort:          types.None[agentry_agent_llm.Effort](),
		Class:           agentry_agent_llm.Class_Normal,
		Privacy:         agentry_agent_llm.Privacy_Any,
		DeadlineMs:      types.None[uint64](),
		MaxCostMicrousd: types.None[uint64](),
	}
}

// Run is the agent.
func Run(input string) ended {
	var given struct{ File, Raise string }
	if err := json.Unmarshal([]byte(input), &given); err != nil {
		panic(err)
	}
	if given.Raise != "" {
		panic(given.Raise)
	}
	read := agentry_agent_files.Read("documents", given.File, 0, 65536)
	if read.IsErr() {
		return fail("cannot read "+given.File, read.Err())
	}
	note := string(read.Ok())
	fmt.Println("read", len(note), "bytes")
	answer := agentry_agent_llm.Complete(ask("title: " + note)).Read()
	if answer.IsErr() {
		return fail("the model did not answer", answer.Err().Why)
	}
	var titled struct{ Title string }
	if err := json.Unmarshal([]byte(answer.Ok().Parts[0].Text()), &titled); err != nil {
		panic(err)
	}
	options := agentry_agent_memory.WriteOptions{
		Expect: agentry_agent_memory.MakeExpectationAnything(),
		TtlS:   types.None[uint64](),
	}
	value := agentry_agent_memory.MakeValueText(titled.Title)
	put := agentry_agent_memory.Put("agent/go/notes", "note", value, options)
	if put.IsErr() {
		return fail("cannot keep it", put.Err())
	}
	got := agentry_agent_memory.Get("agent/go/notes", "note")
	if got.IsErr() {
		return fail("cannot read it back", got.Err())
	}
	kept := got.Ok().IsSome() && got.Ok().Some().Value.Text() == titled.Title && got.Ok().Some().Version == put.Ok()
	output, _ := json.Marshal(map[string]any{"note": note, "title": titled.Title, "kept": kept})
	return types.Ok[string, agentry_agent_outcome.Failure](string(output))
}
