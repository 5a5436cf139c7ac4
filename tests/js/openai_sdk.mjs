// OpenAI's JavaScript SDK (Chat Completions) against the gateway at BASE_URL: prints what it saw, as one JSON object.
import OpenAI from "openai";

const model = process.argv[2];
const client = new OpenAI({ baseURL: `${process.env.BASE_URL}/v1`, apiKey: process.env.KEY, maxRetries: 0 });
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const tools = ["get_weather", "get_time"].map((name) => ({ type: "function", function: { name, description: name, parameters: city } }));
const user = (content) => ({ role: "user", content });
const ask = (content, more = {}) => client.chat.completions.create({ model, messages: [user(content)], ...more });

async function error(work) {
  try {
    await work();
  } catch (caught) {
    return [caught.constructor.name, caught.status ?? null, caught.code ?? null];
  }
  return ["nothing was thrown"];
}

const seen = {};

const text = await ask("Hello there");
seen.text = [text.choices[0].message.content, text.choices[0].finish_reason, text.model, text.usage.completion_tokens];

const words = [];
let usage = null;
for await (const chunk of await ask("one two three", { stream: true, stream_options: { include_usage: true } })) {
  if (chunk.choices[0]?.delta.content) words.push(chunk.choices[0].delta.content);
  usage = chunk.usage ?? usage;
}
seen.stream = [words, usage.completion_tokens];

const helper = client.chat.completions.stream({ model, messages: [user("one two three")] });
seen.helper = [(await helper.finalChatCompletion()).choices[0].message.content, (await helper.finalChatCompletion()).choices[0].finish_reason];

const runner = client.chat.completions.runTools({
  model,
  stream: true,
  messages: [user('get_weather {"city": "Oslo"} get_time {"city": "Rome"}')],
  tools: tools.map((tool) => ({
    ...tool,
    function: { ...tool.function, parse: JSON.parse, function: (given) => `${tool.function.name} of ${given.city}` },
  })),
});
seen.tools = await runner.finalContent();

seen.reasoning = (await ask("hi there", { reasoning_effort: "low" })).choices[0].message.reasoning_content;

const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
seen.image = (await ask([image, { type: "text", text: "look" }])).choices[0].message.content;

const format = { type: "json_schema", json_schema: { name: "place", schema: city, strict: true } };
seen.structured = JSON.parse((await ask("Oslo", { response_format: format })).choices[0].message.content);

seen.models = [];
for await (const listed of client.models.list()) if (listed.id.startsWith("echo")) seen.models.push(listed.object);

seen.errors = {
  overloaded: await error(() => ask("[echo status=529]")),
  limited: await error(() => ask("[echo status=429 retry_after=3]")),
  bad: await error(() => ask("[echo status=400]")),
  key: await error(() => client.withOptions({ apiKey: "pxb_none" }).models.list()),
  model: await error(() => ask("x", { model: "no-such-model" })),
  midway: await error(() => client.chat.completions.stream({ model, messages: [user("a b c [echo fail_after=1]")] }).done()),
  cut: await error(() => client.chat.completions.stream({ model, messages: [user("a b c [echo cut_after=1]")] }).done()),
};

console.log(JSON.stringify(seen));
