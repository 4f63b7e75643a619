"""Asks twice at once, takes a third answer as it comes, keeps a note, and tells the time.

Justification: authors write Python; the table must be whole in it.
"""

import asyncio
import json

import wit_world
from componentize_py_types import Err
from wit_world.imports import llm, log, memory, timers


def ask(text):
    return llm.Request(
        model="default",
        messages=[llm.Message(role=llm.Role.USER, parts=[llm.Part_Text(text)], cache=False)],
        tools=[],
        tool_choice=llm.ToolChoice_Automatic(),
        output=llm.OutputForm_Text(),
        max_output_tokens=16,
        temperature=None,
        top_p=None,
        seed=None,
        stop=[],
        effort=None,
        class_=llm.Class.NORMAL,
        privacy=llm.Privacy.ANY,
        deadline_ms=None,
        max_cost_microusd=None,
    )


def text(result):
    if isinstance(result, Err):
        raise RuntimeError(str(result.value.why))
    response = getattr(result, "value", result)
    return "".join(part.value for part in response.parts if isinstance(part, llm.Part_Text))


async def streamed(request):
    tokens, end = llm.stream(request)
    pieces = []
    with tokens, end:
        while not tokens.writer_dropped:
            for delta in await tokens.read(max_count=16):
                if isinstance(delta, llm.Delta_Text):
                    pieces.append(delta.value)
        return pieces, text(await end.read())


class WitWorld(wit_world.WitWorld):
    async def run(self, input_json: str) -> str:
        log.event(log.Level.INFO, "began", [log.Field(name="language", value="python")])
        one, two = await asyncio.gather(llm.complete(ask("one")).read(), llm.complete(ask("two")).read())
        pieces, whole = await streamed(ask("three"))
        options = memory.WriteOptions(
            expect=memory.Expectation_Anything(), ttl_s=None, tags=[], indexed=True
        )
        version = memory.put("agent/python/notes", "note", memory.Value_Text(whole), options)
        kept = memory.get("agent/python/notes", "note")
        return json.dumps(
            {
                "input": json.loads(input_json),
                "answers": [text(one), text(two)],
                "pieces": pieces,
                "whole": whole,
                "kept": kept.value.value == whole and kept.version == version,
                "now": timers.now(),
            }
        )
