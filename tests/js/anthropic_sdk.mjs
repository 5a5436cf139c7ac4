// Anthropic's JavaScript SDK against the gateway at BASE_URL: prints what it saw, as one JSON object.
import Anthropic from "@anthropic-ai/sdk";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";

const model = process.argv[2];
const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: process.env.KEY, maxRetries: 0 });
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const tools = ["get_weather", "get_time"].map((name) => ({ name, description: name, input_schema: city }));
const user = (content) => ({ role: "user", content });
const ask = (content, more = {}) => client.messages.create({ model, max_tokens: 4000, messages: [user(content)], ...more });

async function error(work) {
  try {
    await work();
  } catch (caught) {
    return [caught.constructor.name, caught.status ?? null, caught.error?.error?.type ?? null];
  }
  return ["nothing was thrown"];
}

const seen = {};

const text = await ask("Hello there");
seen.text = [text.content, text.stop_reason, text.model, text.usage.output_tokens];

const words = [];
const stream = client.messages.stream({ model, max_tokens: 100, messages: [user("one two three")] });
stream.on("text", (delta) => words.push(delta));
const final = await stream.finalMessage();
seen.stream = [words, final.content[0].text, final.stop_reason, final.usage.output_tokens];

const asked = user('get_weather {"city": "Oslo"} get_time {"city": "Rome"}');
const first = await client.messages.stream({ model, max_tokens: 1000, messages: [asked], tools }).finalMessage();
const results = first.content.map((call, at) => ({ type: "tool_result", tool_use_id: call.id, content: ["21 degrees", "noon"][at] }));
const turns = [asked, { role: "assistant", content: first.content }, user(results)];
const second = await client.messages.create({ model, max_tokens: 1000, messages: turns, tools });
seen.tools = [first.content.map((call) => [call.type, call.name, call.input]), first.stop_reason, second.content[0].text];

const thought = await client.messages
  .stream({ model, max_tokens: 4000, messages: [user("hi there")], thinking: { type: "enabled", budget_tokens: 2048 } })
  .finalMessage();
seen.thinking = [thought.content.map((block) => block.type), thought.content[0].thinking, thought.content[0].signature.length > 0];

const source = { type: "base64", media_type: "image/png", data: "AAAA" };
seen.image = (await ask([{ type: "image", source }, { type: "text", text: "look" }])).content[0].text;

const parsed = await client.messages.parse({
  model,
  max_tokens: 100,
  messages: [user("Oslo")],
  output_config: { format: jsonSchemaOutputFormat(city) },
});
seen.structured = parsed.parsed_output;

seen.models = (await client.models.list({ limit: 1000 })).data.filter((listed) => listed.id.startsWith("echo")).map((listed) => listed.type);

seen.errors = {
  overloaded: await error(() => ask("[echo status=529]")),
  limited: await error(() => ask("[echo status=429 retry_after=3]")),
  bad: await error(() => ask("[echo status=400]")),
  key: await error(() => client.withOptions({ apiKey: "pxb_none" }).messages.create({ model, max_tokens: 1, messages: [user("x")] })),
  model: await error(() => ask("x", { model: "no-such-model" })),
  midway: await error(() => client.messages.stream({ model, max_tokens: 9, messages: [user("a b c [echo fail_after=1]")] }).finalMessage()),
  cut: await error(() => client.messages.stream({ model, max_tokens: 9, messages: [user("a b c [echo cut_after=1]")] }).finalMessage()),
};

console.log(JSON.stringify(seen));
