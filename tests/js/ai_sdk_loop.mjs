// Loops of thinking and tools by each provider of Vercel's AI SDK against the gateway at BASE_URL: prints words and steps, as JSON.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { jsonSchema, stepCountIs, streamText, tool } from "ai";

const baseURL = `${process.env.BASE_URL}/v1`;
const apiKey = process.env.KEY;
const providers = {
  anthropic: (id) => createAnthropic({ baseURL, apiKey })(id),
  chat: (id) => createOpenAI({ baseURL, apiKey }).chat(id),
  responses: (id) => createOpenAI({ baseURL, apiKey })(id),
  compatible: (id) => createOpenAICompatible({ name: "gateway", baseURL, apiKey, includeUsage: true })(id),
};
const dialect = process.argv[2];
const inputSchema = jsonSchema({ type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false });

async function loop(provider) {
  const family = provider === "anthropic" ? "claude-sonnet-4-5" : "gpt-5";
  const result = streamText({
    model: providers[provider](`${family}-at-${dialect}`),
    maxRetries: 0,
    prompt: "Hi",
    stopWhen: stepCountIs(4),
    tools: { f: tool({ description: "f", inputSchema, execute: ({ a }) => `<${a}>` }) },
    providerOptions: {
      anthropic: { thinking: { type: "enabled", budgetTokens: 2000 } },
      // Without store: false it sends references to items instead of the items; the gateway keeps none by default.
      openai: { reasoningEffort: "low", reasoningSummary: "auto", store: false },
    },
    onError: ({ error }) => console.error(error),
  });
  const steps = (await result.steps).map((step) => [step.reasoningText ?? null, step.finishReason, step.usage.inputTokens]);
  return [await result.text, steps];
}

const seen = {};
for (const provider of Object.keys(providers)) seen[provider] = await loop(provider);
console.log(JSON.stringify(seen));
