// Asks twice at once, takes a third answer as it comes, keeps a note, and tells the time.
// Justification: authors write JavaScript; the table must be whole in it.

import { complete, stream } from 'agentry:agent/llm@0.1.0';
import { event } from 'agentry:agent/log@0.1.0';
import { get, put } from 'agentry:agent/memory@0.1.0';
import { now } from 'agentry:agent/timers@0.1.0';

const ask = (text) => ({
  model: 'default',
  messages: [{ role: 'user', parts: [{ tag: 'text', val: text }], cache: false }],
  tools: [],
  toolChoice: { tag: 'automatic' },
  output: { tag: 'text' },
  maxOutputTokens: 16,
  stop: [],
  class: 'normal',
  privacy: 'any',
});

const text = ({ tag, val }) => {
  if (tag === 'err') throw new Error(JSON.stringify(val.why));
  return val.parts.filter((part) => part.tag === 'text').map((part) => part.val).join('');
};

export async function run(input) {
  event('info', 'began', [{ name: 'language', value: 'javascript' }]);
  const [one, two] = [complete(ask('one')), complete(ask('two'))];
  const answers = await Promise.all([one.read(), two.read()]);
  const [tokens, end] = stream(ask('three'));
  const pieces = [];
  for await (const delta of tokens) {
    if (delta.tag === 'text') pieces.push(delta.val);
  }
  const whole = text(await end.read());
  const options = { expect: { tag: 'anything' }, tags: [], indexed: true };
  const version = put('agent/javascript/notes', 'note', { tag: 'text', val: whole }, options);
  const kept = get('agent/javascript/notes', 'note');
  return JSON.stringify({
    input: JSON.parse(input),
    answers: answers.map(text),
    pieces,
    whole,
    kept: kept.value.val === whole && kept.version === version,
    now: Number(now()),
  });
}
