// Vercel's AI SDK against the gateway at BASE_URL, with the provider PROVIDER: prints what it saw, as one JSON object.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const baseURL = `${process.env.BASE_URL}/v1`;
const apiKey = process.env.KEY;
const providers = {
  anthropic: (id) => createAnthropic({ baseURL, apiKey })(id),
  chat: (id) => createOpenAI({ baseURL, apiKey }).chat(id),
  responses: (id) => createOpenAI({ baseURL, apiKey })(id),
  compatible: (id) => createOpenAICompatible({ name: "gateway", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true })(id),
};
const [, , provider, id] = process.argv;
const model = providers[provider](id);
const place = jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false });
const once = { model, maxRetries: 0 };
const seen = {};

const text = await generateText({ ...once, prompt: "Hello there" });
seen.text = [text.text, text.finishReason, text.usage.outputTokens];

const streamed = streamText({ ...once, prompt: "one two three" });
const words = [];
for await (const word of streamed.textStream) words.push(word);
seen.stream = [words, await streamed.finishReason, (await streamed.usage).outputTokens];

const tools = Object.fromEntries(
  ["get_weather", "get_time"].map((name) => [name, tool({ description: name, inputSchema: place, execute: ({ city }) => `${name} of ${city}` })]),
);
const loop = await generateText({
  ...once,
  tools,
  stopWhen: stepCountIs(3),
  prompt: 'get_weather {"city": "Oslo"} get_time {"city": "Rome"}',
});
seen.tools = [loop.steps.length, loop.text];

const object = await generateText({ ...once, prompt: '{"city": "Oslo"}', output: Output.object({ schema: place }) });
seen.structured = object.output;

const image = { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) };
const content = [image, { type: "text", text: "look" }];
seen.image = (await generateText({ ...once, messages: [{ role: "user", content }] })).text;

async function error(work) {
  try {
    await work();
  } catch (caught) {
    return [caught.name, caught.statusCode ?? null];
  }
  return ["nothing was thrown"];
}
seen.limited = await error(() => generateText({ ...once, prompt: "[echo status=429]" }));
seen.midway = [];
for await (const part of streamText({ ...once, prompt: "a b c [echo fail_after=1]", onError: () => {} }).fullStream) {
  if (part.type === "error" || part.type === "text-delta") seen.midway.push(part.type);
}

console.log(JSON.stringify(seen));
