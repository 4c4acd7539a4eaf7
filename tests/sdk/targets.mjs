// Where the tests of the SDKs go, and what they find there; `targets.py` says more.

export const url = process.env.SDK_URL;
export const apiKey = process.env.SDK_KEY;
// Straight to the provider: proves the tests themselves.
export const direct = process.env.SDK_DIRECT === "1";

export const openai = direct ? "scripted-model" : "m";
export const reasoner = direct ? "gpt-5-scripted" : "m-reasons";
export const claude = direct ? "claude-haiku-4-5-20251001" : "claude";

export const text = "Hello, wörld 😀";
export const thought = "They want a greeting.";
export const forecast = { city: "Köln", days: 3 };
